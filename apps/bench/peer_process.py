"""A process for one peer in Python: the requests of worker.cpp, answered in the same way, and

    export onnx  workload, weights, input, file: writes an ONNX file; seconds
    export ncnn  the same, for ncnn: its weights are in FILE.bin

ONNX Runtime, OpenVINO and ncnn run without torch in their process."""

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workloads

Request = dict[str, Any]
Call = Callable[[], Any]


def memory(key: str) -> float:
    """Of /proc/self/status, in megabytes: VmHWM is the most memory that the process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


# ------------------------------------------------------------------------------------------------- torch


def load_module(request: Request) -> tuple[Any, Any]:
    """The module with its weights, and the input, in the variant's layout."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(request["threads"])
    module = workloads.build(request["workload"])
    if request.get("weights"):
        module.load_state_dict(load_file(request["weights"]))
    x = load_file(request["input"])["x"].clone()
    if request["variant"].endswith("channels_last"):
        module.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    return module, x


def make_torch(request: Request) -> tuple[Callable[[], Call], Call]:
    """What makes the forward, and what gives its output."""
    import torch

    module, x = load_module(request)
    torch.set_grad_enabled(False)

    def eager() -> Call:
        return lambda: module(x)

    def compiled() -> Call:
        fast = torch.compile(module)
        return lambda: fast(x)

    def freezing() -> Call:
        import torch._inductor.config
        torch._inductor.config.freezing = True
        return compiled()

    def aotinductor() -> Call:
        import torch._inductor.config
        torch._inductor.config.freezing = True
        exported = torch.export.export(module, (x,))
        with tempfile.TemporaryDirectory() as folder:
            file = torch._inductor.aoti_compile_and_package(exported, package_path=f"{folder}/module.pt2")
            fast = torch._inductor.aoti_load_package(file)
        return lambda: fast(x)

    makers = {"eager": eager, "eager channels_last": eager, "compile": compiled, "compile freezing": freezing,
              "aotinductor": aotinductor}
    return makers[request["variant"]], lambda: None


def export_onnx(request: Request) -> dict[str, Any]:
    import torch

    module, x = load_module(request | {"variant": "eager"})
    torch.set_grad_enabled(False)
    begin = time.perf_counter()
    torch.onnx.export(module, (x,), request["file"] + ".partial", input_names=["x"], output_names=["y"],
                      dynamo=True, external_data=False, verbose=False)
    os.replace(request["file"] + ".partial", request["file"])
    return {"seconds": time.perf_counter() - begin}


def export_ncnn(request: Request) -> dict[str, Any]:
    import pnnx
    import torch

    module, x = load_module(request | {"variant": "eager"})
    torch.set_grad_enabled(False)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        torch.jit.trace(module, x).save(f"{folder}/net.pt")
        sizes = ",".join(map(str, x.shape))
        subprocess.run([Path(pnnx.__file__).parent / "pnnx", "net.pt", f"inputshape=[{sizes}]", "fp16=0"],
                       cwd=folder, check=True, stdout=sys.stderr)
        os.replace(f"{folder}/net.ncnn.bin", request["file"] + ".bin")
        os.replace(f"{folder}/net.ncnn.param", request["file"])
    return {"seconds": time.perf_counter() - begin}


# ---------------------------------------------------------------------------------- without torch


def load_input(request: Request) -> Any:
    from safetensors.numpy import load_file
    return load_file(request["input"])["x"].copy()


def make_onnxruntime(request: Request) -> tuple[Callable[[], Call], Call]:
    import numpy
    import onnxruntime

    x = load_input(request)
    result: dict[str, Any] = {"x": x}  # which the library reads by its address

    def make() -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(request["exported"], options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, numpy.float32, x.shape, x.ctypes.data)
        y = result["y"] = numpy.empty(session.get_outputs()[0].shape, numpy.float32)
        binding.bind_output("y", "cpu", 0, numpy.float32, y.shape, y.ctypes.data)
        return lambda: session.run_with_iobinding(binding)

    return make, lambda: result["y"]


def make_openvino(request: Request) -> tuple[Callable[[], Call], Call]:
    import numpy
    import openvino

    x = load_input(request)
    result: dict[str, Any] = {"x": x}  # which the library reads by its address

    def make() -> Call:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": request["threads"], "NUM_STREAMS": 1}
        if request["variant"].endswith("float32"):
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = openvino.Core().compile_model(request["exported"], "CPU", settings)
        ask = compiled.create_infer_request()
        y = result["y"] = numpy.empty(tuple(compiled.output(0).shape), numpy.float32)
        ask.set_input_tensor(openvino.Tensor(x, shared_memory=True))
        ask.set_output_tensor(openvino.Tensor(y, shared_memory=True))
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        print(f"OpenVINO computes in {precision}")
        return ask.infer

    return make, lambda: result["y"]


def make_ncnn(request: Request) -> tuple[Callable[[], Call], Call]:
    import ncnn
    import numpy

    x = load_input(request)
    if len(x) != 1:
        raise ValueError("ncnn takes one image")
    result: dict[str, Any] = {"x": x}

    def make() -> Call:
        net = ncnn.Net()
        net.opt.num_threads = request["threads"]
        net.opt.use_winograd_convolution = not request["variant"].endswith("direct")
        for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(net.opt, f"use_{half}", False)
        if net.load_param(request["exported"]) or net.load_model(request["exported"] + ".bin"):
            raise ValueError("ncnn cannot load the network")
        image = ncnn.Mat(x[0])

        def call() -> None:
            extractor = net.create_extractor()
            extractor.input("in0", image)
            result["y"] = extractor.extract("out0")[1]
        return call

    return make, lambda: numpy.array(result["y"])[None]


# ------------------------------------------------------------------------------------------------ requests


class Process:
    def __init__(self) -> None:
        self.clock = time.CLOCK_MONOTONIC
        self.call: Call = lambda: None
        self.bound: Call = lambda: None

    def make(self, request: Request) -> dict[str, Any]:
        # One thread's time is counted where it runs, so that other processes do not matter.
        self.clock = time.CLOCK_PROCESS_CPUTIME_ID if request["threads"] == 1 else time.CLOCK_MONOTONIC
        kind = request["variant"].partition(" ")[0]
        makers = {"onnxruntime": make_onnxruntime, "openvino": make_openvino, "ncnn": make_ncnn}
        maker = makers.get(kind, make_torch)
        make, self.bound = maker(request)
        begin = time.perf_counter()
        self.call = make()
        self.call()
        seconds = time.perf_counter() - begin
        gc.collect()
        gc.disable()  # no collection within a measurement
        peak = memory("VmHWM:")
        Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM counts anew
        return {"seconds": seconds, "peak_mb": peak}

    def output(self, request: Request) -> dict[str, Any]:
        y = self.call()
        bound = self.bound()
        if bound is not None:
            from safetensors.numpy import save_file
            save_file({"y": bound}, request["file"])
        else:
            from safetensors.torch import save_file
            y = y[0] if isinstance(y, (list, tuple)) else y
            save_file({"y": y.contiguous()}, request["file"])
        return {}

    def run(self, request: Request) -> dict[str, Any]:
        calls, call, clock = range(request["calls"]), self.call, self.clock
        times = [0.0] * request["repetitions"]
        call()  # other processes ran since the last time
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for i in range(len(times)):
            begin = time.clock_gettime_ns(clock)
            for _ in calls:
                call()
            times[i] = 1e-6 * (time.clock_gettime_ns(clock) - begin) / len(calls)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        return {"ms": times, "faults": faults / (len(times) * len(calls)), "run_peak_mb": memory("VmHWM:")}

    def train(self, request: Request) -> dict[str, Any]:
        import torch

        if "workload" in request:
            from safetensors.torch import load_file
            self.clock = time.CLOCK_PROCESS_CPUTIME_ID if request["threads"] == 1 else time.CLOCK_MONOTONIC
            self.module, self.x = load_module(request)
            self.target = load_file(request["input"])["target"].clone()
            self.module.train()
            self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.01, momentum=0.9)
            gc.disable()
        times, losses = [], []
        for _ in range(request["steps"]):
            begin = time.clock_gettime_ns(self.clock)
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.module(self.x), self.target)
            loss.backward()
            self.optimizer.step()
            times.append(1e-6 * (time.clock_gettime_ns(self.clock) - begin))
            losses.append(loss.item())
        return {"ms": times, "losses": losses}


def main() -> None:
    # What the libraries print goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    process = Process()
    requests = {"make": process.make, "output": process.output, "run": process.run, "train": process.train,
                "export onnx": export_onnx, "export ncnn": export_ncnn}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = requests[request["do"]](request)
        except Exception as error:  # noqa: BLE001, whatever a peer cannot do is its answer
            import traceback
            traceback.print_exc()
            said = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {said}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
