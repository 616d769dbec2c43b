"""What a page cannot say of a module's weights and modes: found before it is traced."""

import torch

from .refused import Refused


def refuse(m, path, what):
    raise Refused(type(m), path, what)


def check_weights(module):
    """A page makes each weight once, of float32, and trains it."""
    owners, paths = {}, {}
    for path, m in module.named_modules(remove_duplicate=False):
        if id(m) in paths and [*m.parameters(), *m.buffers()]:
            refuse(m, path, f"it is also '{paths[id(m)]}': the page cannot share modules with weights yet")
        if id(m) in paths:
            continue
        paths[id(m)] = path
        for name, weight in m._parameters.items():
            if weight is None:
                continue
            if id(weight) in owners:
                refuse(m, path, f"its '{name}' is also '{owners[id(weight)]}': the page cannot tie weights yet")
            owners[id(weight)] = f"{path}.{name}".lstrip(".")
            of_torch = type(m).__module__.startswith("torch.nn.")
            if of_torch and not weight.requires_grad:
                refuse(m, path, f"its '{name}' does not require a gradient, which the page cannot say yet")
            if of_torch and weight.dtype != torch.float32:
                refuse(m, path, f"its '{name}' of {weight.dtype}: make the module of float32, and convert it in C++")


def check_mode(module, training):
    """A page's train() and eval() reach everything in it."""
    for path, m in module.named_modules():
        if m.training != training:
            refuse(m, path, f"it stays in {'eval mode' if training else 'training'} when the module is told otherwise")


def check_constants(module, constants):
    """A tensor that is an attribute of a module is one of its weights, unless forward changes it."""
    for path, m in module.named_modules():
        for name, (tensor, version) in constants.get(id(m), {}).items():
            if getattr(m, name, None) is not tensor or tensor._version != version:
                refuse(m, path, f"its tensor '{name}', which forward changes, is no buffer")
