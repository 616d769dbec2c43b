"""Records what a Python module computes, for `convkit compare`.

Example: record.py torchvision.models:resnet18 --input 1,3,224,224 -o resnet18.safetensors

MODULE:CALLABLE names what makes the module: a Python module, or a .py file, and a class or function in it. Its
weights, and the inputs and outputs of every module in it, go into a .safetensors file:

    state_dict/KEY              the weights
    input/PATH#CALL/NAME        what a module was given; of the module itself PATH is empty, calls count from 0
    output/PATH#CALL            what it gave; with /NAME where it gave several tensors
    train/...                   with --train: of one training step the output, gradients and buffers

A fresh network is nearly dead in eval mode, so its norms get other values, drawn from the seed, and the running
statistics of the input, unless --as-is or --weights says otherwise. Inputs have the dtype of the first parameter;
--input 1,16:1000 gives whole numbers below 1000 instead, of int64.
Needs torch and safetensors alone. Exits with 2, and one line on stderr, for a wrong argument.
"""

import argparse
import importlib
import importlib.util
import inspect
import json
import os
import sys
import textwrap
import traceback

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn


def fail(option, expected, got):
    # One line, however many the cause has.
    sys.stderr.write(f"record.py: {option}: expected {expected}, got {textwrap.shorten(str(got), 1000)}\n")
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"record.py: {message.removeprefix('argument ')}\n")


def checked(expected, read):
    """What argparse reads an option with: `read` throws a ValueError for a text that is not what is expected."""
    def type_of_option(text):
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}") from error
    return type_of_option


def require(condition):
    if not condition:
        raise ValueError


def read_callable(text):
    module, _, attribute = text.rpartition(":")
    require(attribute and module and (module.endswith(".py") or not module.startswith(".")))
    return text


def read_shape(text):
    """The sizes, and what bounds the whole numbers if they are to be such."""
    sizes, colon, bound = text.partition(":")
    shape = [int(size) for size in sizes.split(",")]
    require(min(shape) >= 0)
    require(not colon or 1 <= int(bound) < 2**63)
    return shape, int(bound) if colon else None


def read_kwargs(text):
    kwargs = json.loads(text)
    require(isinstance(kwargs, dict))
    return kwargs


def read_integer(least, most):
    def read(text):
        require(least <= int(text) <= most)
        return int(text)
    return checked(f"an integer from {least} to {most}", read)


def read_output(text):
    require(text.endswith(".safetensors"))
    return text


def arguments():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callable", metavar="MODULE:CALLABLE",
                        type=checked("a module or .py file, a colon and a name in it", read_callable))
    parser.add_argument("--input", action="append", required=True, metavar="N,C,H,W[:BELOW]", dest="shapes",
                        type=checked("sizes such as 1,3,224,224", read_shape),
                        help="the shape of a random input, with :BELOW of whole numbers below it; once for each")
    parser.add_argument("--kwargs", default={}, metavar="JSON", type=checked("a JSON object", read_kwargs),
                        help="what the callable is called with")
    # torch takes 64 bits, and the training step the next seed.
    parser.add_argument("--seed", type=read_integer(-2**63, 2**64 - 2), default=0)
    parser.add_argument("--weights", metavar="FILE", help="a state_dict to load, .safetensors or .pt")
    parser.add_argument("--as-is", action="store_true", help="record the fresh weights as they are")
    parser.add_argument("--train", action="store_true", help="record a training step too")
    parser.add_argument("--channels-last", action="store_true", help="the weights and inputs in channels_last")
    parser.add_argument("--threads", type=read_integer(1, 1024), default=1, help="of torch; by default 1")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.safetensors",
                        type=checked("a .safetensors file", read_output))
    given = parser.parse_args()
    try:
        # Now, not after a long run.
        require(not os.path.isdir(given.output))
        open(given.output + ".partial", "wb").close()
        os.remove(given.output + ".partial")
    except (OSError, ValueError) as error:
        fail("-o/--output", "a file that can be written", f"{given.output}: {str(error) or 'a folder'}")
    return given


def find(name):
    module, _, attribute = name.rpartition(":")
    if module.endswith(".py"):
        if not os.path.isfile(module):
            fail("MODULE:CALLABLE", "a file that exists", module)
        sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
        spec = importlib.util.spec_from_file_location(os.path.basename(module)[:-3], module)
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    else:
        sys.path.insert(0, os.getcwd())
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # One that the module itself imports is another matter.
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            fail("MODULE:CALLABLE", "a module that can be imported", f"{module}: {error}")
    for part in attribute.split("."):
        if not hasattr(found, part):
            fail("MODULE:CALLABLE", f"a name in {module}", attribute)
        found = getattr(found, part)
    if not callable(found):
        fail("MODULE:CALLABLE", "a class or function", f"{name}, of type {type(found).__name__}")
    return found


def make(name, kwargs):
    made = find(name)
    try:
        inspect.signature(made).bind(**kwargs)
    except TypeError as error:
        fail("--kwargs", f"what {name} takes", f"{json.dumps(kwargs)}: {error}")
    except ValueError:
        pass  # What is written in C may have no signature.
    module = made(**kwargs)
    if not isinstance(module, nn.Module):
        fail("MODULE:CALLABLE", f"{name} to give a torch.nn.Module", type(module).__name__)
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            fail("MODULE:CALLABLE", "modules of Python", f"the ScriptModule '{path}', which has no hooks")
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(value):
            fail("MODULE:CALLABLE", "a module with all its weights",
                 f"'{key}' without a shape; let {name} call a lazy module once")
    return module


def load(module, file):
    try:
        weights = load_file(file) if file.endswith(".safetensors") else torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # Each format has its own.
        fail("--weights", "a state_dict, .safetensors or .pt", f"{file}: {str(error) or type(error).__name__}")
    if not isinstance(weights, dict) or not all(isinstance(key, str) for key in weights):
        fail("--weights", "a state_dict", f"{file}, which holds a {type(weights).__name__}")
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        if not str(error).startswith("Error(s) in loading state_dict"):
            raise
        fail("--weights", f"a state_dict that fits {type(module).__name__}", f"{file}: {error}")


def weights_of(module):
    """The state_dict without what get_extra_state gave, unless that is a tensor."""
    return {key: value for key, value in module.state_dict().items() if isinstance(value, torch.Tensor)}


def random(shape, bound, dtype):
    return torch.randn(shape, dtype=dtype) if bound is None else torch.randint(bound, shape)


def random_inputs(module, shapes):
    first = next(module.parameters(), None)
    dtype = first.dtype if first is not None and first.is_floating_point() else torch.get_default_dtype()
    try:
        return [random(shape, bound, dtype) for shape, bound in shapes]
    except (RuntimeError, TypeError) as error:
        fail("--input", f"sizes of a {dtype} tensor that fits in memory", f"{[shape for shape, _ in shapes]}: {error}")


def forward(module, inputs):
    """What the module gives. That it does not take such inputs is said in one line; what its own code raises is not,
    unless it is torch's refusal."""
    given = [list(x.shape) for x in inputs]
    try:
        inspect.signature(module.forward).bind(*inputs)
    except TypeError as error:
        fail("--input", f"what {type(module).__name__} takes", f"{len(inputs)} of the shapes {given}: {error}")
    except ValueError:
        pass  # What is written in C may have no signature.
    try:
        return module(*inputs)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = os.path.dirname(torch.__file__)
        if not isinstance(error, (RuntimeError, IndexError)) and not frames[-1].filename.startswith(inside):
            raise
        own = [frame for frame in frames if not frame.filename.startswith((inside, __file__))]
        where = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else ""
        fail("--input", f"what {type(module).__name__} takes",
             f"the shapes {given}: {type(error).__name__}: {error}{where}")


def hashed(tensor):
    """Of the bytes: no two tensors that differ in one byte have the same."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    total = 0
    for start in range(0, data.numel(), 2**20):  # as int64, which takes 16 times the memory
        part = data[start:start + 2**20].to(torch.int64)
        total += (part * (2 * torch.arange(start, start + part.numel()) + 1)).sum().item()
    return (total + 2**63) % 2**64 - 2**63


def settle(module, inputs, shapes):
    """Values of their own for norms and biases, and the running statistics of the input."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for name, value in weights_of(module).items():
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
            several = [torch.cat([x, random(x.shape, bound, x.dtype)]) for x, (_, bound) in zip(inputs, shapes)]
            forward(module.train(), several)
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


def may_overlap(tensor):
    """Whether two elements may share memory. Of strides that interleave it is not known that they do not."""
    extent = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape) if size > 1):
        if stride < extent:
            return True
        extent += stride * (size - 1)
    return False


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
        strides = {key: list(given.stride()) for key, given, _ in inputs if not given.is_contiguous() and not may_overlap(given)}
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
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    outputs = [tensor for _, tensor in leaves(forward(module, [x.clone() for x in inputs]))]
    if not outputs or not all(y.requires_grad for y in outputs):
        got = ", ".join(f"{y.dtype}{'' if y.requires_grad else ' without one'}" for y in outputs)
        fail("--train", "outputs that need a gradient", got or "no tensors")
    gradients = [torch.randn(y.shape, dtype=y.dtype) for y in outputs]
    tensors = {f"train/output/{i}": y.detach().clone() for i, y in enumerate(outputs)}
    tensors |= {f"train/gradient/{i}": gradient for i, gradient in enumerate(gradients)}
    torch.autograd.backward(outputs, gradients)
    tensors |= {f"train/input_gradient/{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    tensors |= {f"train/parameter_gradient/{key}": p.grad for key, p in module.named_parameters() if p.grad is not None}
    buffers = set(dict(module.named_buffers()))
    tensors |= {f"train/buffer/{key}": value.clone() for key, value in weights_of(module).items() if key in buffers}
    return {key: value.contiguous() for key, value in tensors.items()}


def save(tensors, metadata, file):
    partial = file + ".partial"
    try:
        save_file(tensors, partial, metadata)
        os.replace(partial, file)
    except (OSError, SafetensorError) as error:
        fail("-o/--output", "a file that can be written", f"{file}: {error}")
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def main():
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    module = make(given.callable, given.kwargs)
    fresh = {key: hashed(value) for key, value in weights_of(module).items()}
    for key in sorted(module.state_dict().keys() - fresh.keys()):
        print(f"record.py: left out {key} of the state_dict: no tensor", file=sys.stderr)
    inputs = random_inputs(module, given.shapes)
    if given.weights is not None:
        load(module, given.weights)
    elif not given.as_is:
        settle(module, inputs, given.shapes)
    if given.channels_last:
        module.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]

    module.eval()
    tensors = {f"state_dict/{key}": copied(value) for key, value in weights_of(module).items()}
    recorder = Recorder(module)
    with torch.no_grad():
        forward(module, [x.clone() for x in inputs])
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
    save(tensors, {"recording": json.dumps(recording)}, given.output)
    print(f"{given.output}: {len(recorder.calls)} calls of {len(paths)} modules, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
