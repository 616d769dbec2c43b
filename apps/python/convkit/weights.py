"""The weights of what is recorded: which the constructor loaded, which are fresh, and other values for those."""

import contextlib
import functools

import torch
from safetensors.torch import load_file
from torch import nn

from .calls import forward, weights_of
from .inputs import Random, another
from .options import fail


def tensors_of(module):
    """The parameters and buffers themselves, which state_dict() gives only views of."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


@contextlib.contextmanager
def watched_loading():
    """Gives a dict, in which all tensors come to stand, by their ids, that load_state_dict writes meanwhile."""
    loaded = {}
    load_state_dict = nn.Module.load_state_dict

    @functools.wraps(load_state_dict)
    def watched(module, *args, **kwargs):
        result = load_state_dict(module, *args, **kwargs)
        loaded.update({id(value): value for key, value in tensors_of(module).items() if key not in result.missing_keys})
        return result

    nn.Module.load_state_dict = watched
    try:
        yield loaded
    finally:
        nn.Module.load_state_dict = load_state_dict


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


def hashed(tensor):
    """Of the bytes: no two tensors that differ in one byte have the same."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    total = 0
    for start in range(0, data.numel(), 2**20):  # as int64, which takes 16 times the memory
        part = data[start:start + 2**20].to(torch.int64)
        total += (part * (2 * torch.arange(start, start + part.numel()) + 1)).sum().item()
    return (total + 2**63) % 2**64 - 2**63


def draw_of(key, value):
    """What gives a tensor of this name other values; None where it keeps its own."""
    if not value.is_floating_point():
        return None
    if key.endswith("weight") and value.dim() == 1:
        return lambda: value.uniform_(0.5, 1.5)
    if key.endswith(("bias", "running_mean")):
        return lambda: value.normal_(0, 0.1)
    if key.endswith("running_var"):
        return lambda: value.uniform_(0.8, 1.2)
    if key.endswith(("layer_scale", "gamma")):
        return lambda: value.uniform_(0.1, 0.5)
    return None


def is_plain(value):
    """Whether it is one number all over, as constructors fill norms. A single number may well be a weight, unless it
    is what norms or PReLU begin with."""
    if value.numel() == 1:
        return value.item() in (0, 0.25, 1)
    return bool((value == value.flatten()[:1]).all())


def settle(module, inputs, sources, loaded, everything):
    """Gives plain norms and biases values of their own, and plain running statistics those of the input. Returns
    the keys of the tensors that are not fresh and stay, which are none with `everything`."""
    weights = weights_of(module)
    draws = {key: draw for key, value in weights.items() if (draw := draw_of(key, value))}
    kept = set() if everything else {key for key in draws if key in loaded or not is_plain(weights[key])}
    stay = set() if everything else set(loaded)
    # Constructors draw biases, and single numbers.
    stay |= {key for key in kept if not key.endswith("bias") and weights[key].numel() > 1}

    def has(path, part, keys):
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        return any(f"{path}.{name}".removeprefix(".") in keys for name, _ in own)
    norms = [part for path, part in module.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
             and not has(path, part, {key for key in kept if key.endswith(("running_mean", "running_var"))})]
    with torch.no_grad():
        for key, draw in draws.items():
            if key not in kept:
                draw()
        if norms:
            module.train()
            for path, part in module.named_modules():
                # Others that were loaded must not learn from this.
                part.training = part in norms or (part.training and not has(path, part, stay))
            take_statistics(module, inputs, sources, norms)
    return stay


def take_statistics(module, inputs, sources, norms):
    """Gives norms the running statistics of the input. A batch of one has no variance where a norm sees one pixel, and
    a module may take no batches: so the input is tried alone, and beside another one of its kind."""
    momenta = [norm.momentum for norm in norms]
    buffers = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]

    def alone():
        return [x.clone() for x in inputs]

    def doubled():
        return [torch.cat([x, another(x, source)]) for x, source in zip(inputs, sources)]

    # What a file holds has statistics of its own, which another order of its numbers changes.
    drawn = all(isinstance(source, Random) for source in sources)
    for norm in norms:
        norm.momentum = 1.0
    for given in (doubled, alone) if drawn else (alone, doubled):
        try:
            module(*given())
            break
        except Exception:  # What the module does not take is said of the input itself.
            for buffer, before in buffers:
                buffer.copy_(before)
    else:
        forward(module, alone())
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
