"""What a module computes, call by call, and in a training step."""

import dataclasses
import inspect
import os
import traceback

import torch

from .options import fail


def weights_of(module):
    """The state_dict without what get_extra_state gave, unless that is a tensor."""
    return {key: value for key, value in module.state_dict().items() if isinstance(value, torch.Tensor)}


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def dtype_of(module):
    """Of its weights, which random inputs have too."""
    first = next(module.parameters(), None)
    return first.dtype if first is not None and first.is_floating_point() else torch.get_default_dtype()


def forward(module, inputs):
    """What the module gives. That it does not take such inputs is said in one line; what its own code raises is not,
    unless it is torch's refusal."""
    given = ", ".join(f"{name_of(x.dtype)} {list(x.shape)}" for x in inputs)
    try:
        inspect.signature(module.forward).bind(*inputs)
    except TypeError as error:
        count = f"{len(inputs)} input{'s' * (len(inputs) > 1)}"
        fail("--input", f"what {type(module).__name__} takes", f"{count}, {given}: {error}")
    except ValueError:
        pass  # What is written in C may have no signature.
    try:
        return module(*inputs)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = os.path.dirname(torch.__file__)
        if not isinstance(error, (RuntimeError, IndexError)) and not frames[-1].filename.startswith(inside):
            raise
        own = [frame for frame in frames if not frame.filename.startswith((inside, os.path.dirname(__file__)))]
        where = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else ""
        weights = {p.dtype for p in module.parameters()}
        hint = len(weights) == 1 and "type" in str(error).lower() and any(x.dtype not in weights for x in inputs)
        fail("--input", f"what {type(module).__name__} takes", f"{given}: {type(error).__name__}: {error}{where}"
             + (f"; its weights are {name_of(*weights)}" if hint else ""))


def leaves(value):
    """The tensors of what a module takes or gives, with their names."""
    if isinstance(value, torch.Tensor):
        return [("", value)]
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if dataclasses.is_dataclass(value) and not isinstance(value, (dict, type)):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return []
    return [(f"{key}/{name}" if name else str(key), tensor) for key, inner in value.items() for name, tensor in leaves(inner)]


def copied(tensor):
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def is_alive(tensor):
    """Whether it proves anything: as in C++, a single number, or finite ones that are not all the same."""
    tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    finite = tensor[tensor.isfinite()]
    return finite.numel() > 0 and (tensor.numel() == 1 or bool((finite != finite[0]).any()))


def may_overlap(tensor):
    """Whether two elements may share memory. Of strides that interleave it is not known that they do not."""
    extent = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape) if size > 1):
        if stride < extent:
            return True
        extent += stride * (size - 1)
    return False


def lies_otherwise(tensor):
    """Whether its strides may matter: of one channel, channels_last is contiguous too, and says another layout."""
    if not tensor.is_contiguous():
        return not may_overlap(tensor)
    return (tensor.dim() in (4, 5) and tensor.shape[1] == tensor.stride(1) == 1 and min(tensor.stride()) > 0
            and tensor.numel() > tensor.shape[0])


class Recorder:
    def __init__(self, module):
        self.tensors, self.strides, self.calls, self.counts, self.open, self.alive = {}, {}, [], {}, [], {}
        self.outputs = {}  # the names of several, in their order, which the file does not keep
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
        strides = {key: list(given.stride()) for key, given, _ in inputs if lies_otherwise(given)}
        self.open.append((module, call, {key: copy for key, _, copy in inputs}, strides))

    def after(self, module, args, kwargs, output):
        # Calls that have thrown do not end: what stands above this one in the list are such.
        while self.open[-1][0] is not module:
            self.open.pop()
        _, call, inputs, strides = self.open.pop()
        outputs = {f"output/{call}/{key}" if key else f"output/{call}": copied(tensor) for key, tensor in leaves(output)}
        if len(outputs) > 1:
            self.outputs[call] = [key for key, _ in leaves(output)]
        self.tensors |= inputs | outputs
        # Kernels choose their order of sums by the layout of what they are given.
        self.strides |= strides
        self.calls.append(call)
        if outputs:
            path = self.paths[id(module)]
            self.alive[path] = self.alive.get(path, False) or any(map(is_alive, outputs.values()))

    def close(self):
        for handle in self.handles:
            handle.remove()


def some(paths):
    """The first of many."""
    shown = ", ".join(path or "the module itself" for path in paths[:10])
    return f"{shown}, and {len(paths) - 10} more" if len(paths) > 10 else shown


def unproven(module, recorder):
    """Says of which layers the recording proves nothing; of those that have others in them, only the innermost."""
    dead = [path for path, alive in recorder.alive.items() if not alive]
    dead = [path for path in dead
            if not any(inner != path and inner.startswith(path and f"{path}.") for inner in dead)]
    uncalled = [path for path, part in module.named_modules() if path not in recorder.counts
                and [*part.parameters(recurse=False), *part.buffers(recurse=False)]]
    if dead:
        yield (f"these stayed dead, their outputs one number all over or not finite: {some(dead)}; give another "
               "--input, or other weights")
    if uncalled:
        yield (f"these were never called: {some(uncalled)}; give an --input that reaches them, unless the module uses "
               "their weights itself")


def trained_outputs(module, inputs, option):
    """What it gives in train mode, all of which needs a gradient."""
    outputs = [tensor for _, tensor in leaves(forward(module, [x.clone() for x in inputs]))]
    if not outputs or not all(y.requires_grad for y in outputs):
        got = ", ".join(f"{y.dtype}{'' if y.requires_grad else ' without one'}" for y in outputs)
        fail(option, "outputs that need a gradient", got or "no tensors")
    return outputs


def record_training(module, inputs, seed):
    """Of one training step: the output, the gradients, and the buffers after it."""
    module.train()
    module.zero_grad()
    torch.manual_seed(seed + 1)
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    outputs = trained_outputs(module, inputs, "--train")
    gradients = [torch.randn(y.shape, dtype=y.dtype) for y in outputs]
    tensors = {f"train/output/{i}": y.detach().clone() for i, y in enumerate(outputs)}
    tensors |= {f"train/gradient/{i}": gradient for i, gradient in enumerate(gradients)}
    torch.autograd.backward(outputs, gradients)
    tensors |= {f"train/input_gradient/{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    tensors |= {f"train/parameter_gradient/{key}": p.grad for key, p in module.named_parameters() if p.grad is not None}
    buffers = set(dict(module.named_buffers()))
    tensors |= {f"train/buffer/{key}": value.clone() for key, value in weights_of(module).items() if key in buffers}
    return {key: value.contiguous() for key, value in tensors.items()}
