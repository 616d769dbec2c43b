"""Records what a Python module computes, for `convkit compare`.

Example: record.py torchvision.models:resnet18 --input 1,3,224,224 -o resnet18.safetensors

MODULE:CALLABLE names what makes the module: a Python module, or a .py file, and a class or function in it. Its
weights, and the inputs and outputs of every module in it, go into a .safetensors file:

    state_dict/KEY              the weights
    input/PATH#CALL/NAME        what a module was given; of the module itself PATH is empty, calls count from 0
    output/PATH#CALL            what it gave; with /NAME where it gave several tensors
    train/...                   with --train: of one training step the output, gradients and buffers

A fresh network is nearly dead in eval mode, so its norms get other values, drawn from the seed, and the running
statistics of the input, unless --as-is or --weights says otherwise. Needs torch and safetensors alone.
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callable", metavar="MODULE:CALLABLE")
    parser.add_argument("--input", action="append", required=True, metavar="N,C,H,W",
                        help="the shape of a random input; once for each")
    parser.add_argument("--kwargs", default="{}", metavar="JSON", help="what the callable is called with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", metavar="FILE", help="a state_dict to load, .safetensors or .pt")
    parser.add_argument("--as-is", action="store_true", help="record the fresh weights as they are")
    parser.add_argument("--train", action="store_true", help="record a training step too")
    parser.add_argument("--channels-last", action="store_true", help="the weights and inputs in channels_last")
    parser.add_argument("--threads", type=int, default=1, help="of torch; by default 1")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.safetensors")
    given = parser.parse_args()
    if ":" not in given.callable:
        parser.error(f"expected MODULE:CALLABLE, got {given.callable}")
    if not given.output.endswith(".safetensors"):
        parser.error(f"expected -o to name a .safetensors file, got {given.output}")
    try:
        given.kwargs = json.loads(given.kwargs)
        given.shapes = [[int(size) for size in text.split(",")] for text in given.input]
    except ValueError as error:
        parser.error(str(error))
    if not isinstance(given.kwargs, dict):
        parser.error("expected --kwargs to be a JSON object")
    return given


def find(name):
    module, _, attribute = name.rpartition(":")
    if module.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
        spec = importlib.util.spec_from_file_location(os.path.basename(module)[:-3], module)
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    else:
        sys.path.insert(0, os.getcwd())
        found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def hashed(tensor):
    """Of the bytes: no two tensors that differ in one byte have the same."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).to(torch.int64)
    return (data * (2 * torch.arange(data.numel()) + 1)).sum().item()


def settle(module, inputs):
    """Values of their own for norms and biases, and the running statistics of the input."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith("weight") and value.dim() == 1:
                value.uniform_(0.5, 1.5)
            elif name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.1)
            elif name.endswith("running_var"):
                value.uniform_(0.8, 1.2)
            elif name.endswith(("layer_scale", "gamma")):
                value.uniform_(0.1, 0.5)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            # A batch of one has no variance where a norm sees one pixel.
            several = [torch.cat([x, torch.randn_like(x)]) for x in inputs]
            module.train()(*several)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


def leaves(value):
    """The tensors of what a module takes or gives, with their names."""
    if isinstance(value, torch.Tensor):
        return [("", value)]
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return []
    return [(f"{key}/{name}" if name else str(key), tensor) for key, inner in value.items() for name, tensor in leaves(inner)]


def copied(tensor):
    return tensor.detach().clone(memory_format=torch.contiguous_format)


class Recorder:
    def __init__(self, module):
        self.tensors, self.strides, self.calls, self.counts, self.open = {}, {}, [], {}, []
        self.paths = {id(part): path for path, part in module.named_modules()}
        self.handles = []
        for part in module.modules():
            self.handles.append(part.register_forward_pre_hook(self.before, with_kwargs=True))
            self.handles.append(part.register_forward_hook(self.after, with_kwargs=True))

    def before(self, module, args, kwargs):
        path = self.paths[id(module)]
        call = f"{path}#{self.counts.get(path, 0)}"
        self.counts[path] = self.counts.get(path, 0) + 1
        # A copy at once: activations in place change it later.
        inputs = [(f"input/{call}/{key}", tensor.detach(), copied(tensor)) for key, tensor in leaves((*args, *kwargs.values()))]
        strides = {key: list(given.stride()) for key, given, _ in inputs if not given.is_contiguous() and 0 not in given.stride()}
        self.open.append((module, call, {key: copy for key, _, copy in inputs}, strides))

    def after(self, module, args, kwargs, output):
        # Calls that have thrown do not end: what stands above this one in the list are such.
        while self.open[-1][0] is not module:
            self.open.pop()
        _, call, inputs, strides = self.open.pop()
        outputs = {f"output/{call}/{key}" if key else f"output/{call}": copied(tensor) for key, tensor in leaves(output)}
        self.tensors |= inputs | outputs
        # Kernels choose their order of sums by the layout of what they are given.
        self.strides |= strides
        self.calls.append(call)

    def close(self):
        for handle in self.handles:
            handle.remove()


def record_training(module, inputs, seed):
    """Of one training step: the output, the gradients, and the buffers after it."""
    module.train()
    module.zero_grad()
    torch.manual_seed(seed + 1)
    inputs = [x.clone().requires_grad_() for x in inputs]
    outputs = [tensor for _, tensor in leaves(module(*[x.clone() for x in inputs]))]
    gradients = [torch.randn(y.shape, dtype=y.dtype) for y in outputs]
    tensors = {f"train/output/{i}": y.detach().clone() for i, y in enumerate(outputs)}
    tensors |= {f"train/gradient/{i}": gradient for i, gradient in enumerate(gradients)}
    torch.autograd.backward(outputs, gradients)
    tensors |= {f"train/input_gradient/{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    tensors |= {f"train/parameter_gradient/{key}": p.grad for key, p in module.named_parameters() if p.grad is not None}
    buffers = set(dict(module.named_buffers()))
    tensors |= {f"train/buffer/{key}": value.clone() for key, value in module.state_dict().items() if key in buffers}
    return {key: value.contiguous() for key, value in tensors.items()}


def main():
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    module = find(given.callable)(**given.kwargs)
    if not isinstance(module, nn.Module):
        sys.exit(f"record.py: expected {given.callable} to give a torch.nn.Module, got {type(module).__name__}")
    fresh = {key: hashed(value) for key, value in module.state_dict().items()}
    inputs = [torch.randn(shape) for shape in given.shapes]
    if given.weights:
        reads = load_file if given.weights.endswith(".safetensors") else lambda file: torch.load(file, weights_only=True)
        module.load_state_dict(reads(given.weights))
    elif not given.as_is:
        settle(module, inputs)
    if given.channels_last:
        module.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]

    module.eval()
    tensors = {f"state_dict/{key}": value.detach().clone(memory_format=torch.contiguous_format)
               for key, value in module.state_dict().items()}
    recorder = Recorder(module)
    with torch.no_grad():
        module(*[x.clone() for x in inputs])
    recorder.close()
    tensors |= recorder.tensors
    if given.train:
        tensors |= record_training(module, inputs, given.seed)

    paths = [path for path, _ in module.named_modules()]
    recording = {
        "version": 1, "torch": str(torch.__version__), "source": given.callable, "kwargs": given.kwargs,
        "seed": given.seed, "threads": given.threads, "cpu": torch.backends.cpu.get_cpu_capability(),
        "memory_format": "channels_last" if given.channels_last else "contiguous",
        "classes": {path: type(part).__name__ for path, part in module.named_modules()},
        "calls": recorder.calls, "never_called": [path for path in paths if path not in recorder.counts],
        "strides": recorder.strides, "fresh": fresh,
    }
    save_file(tensors, given.output + ".partial", {"recording": json.dumps(recording)})
    os.replace(given.output + ".partial", given.output)
    print(f"{given.output}: {len(recorder.calls)} calls of {len(paths)} modules, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
