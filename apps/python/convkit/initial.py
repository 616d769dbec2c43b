"""The weights that a page's modules begin with: those that torch::nn's constructors draw of the same seed."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from .faithful import shared
from .parametrized import CLASSES, is_legacy, layer_of, norm_of
from .weight_specs import weights_of


# What parameters of a weight's shape are called.
ORIGINALS = ("original", "original1", "weight_orig", "weight_v")


def twin_of(part, kind=None, **more):
    """A module of the same options, whose weights are others, of float32."""
    def fresh(tensor):
        return tensor if tensor is None else torch.zeros(
            tensor.shape, dtype=torch.float32 if tensor.is_floating_point() else tensor.dtype)
    twin = object.__new__(kind or type(part))
    weights = {**{name: fresh(weight) for name, weight in part._parameters.items()}, **more}
    twin.__dict__ = {**part.__dict__, "_modules": {}, "_buffers": {k: fresh(b) for k, b in part._buffers.items()},
                     "_parameters": {k: w if w is None else nn.Parameter(w) for k, w in weights.items()}}
    return twin


def normed(part, norm):
    """The weights of a layer with weight or spectral norm, under their keys below it."""
    # Its `weight` is not asked for, which in training would change it.
    shape = next(p.shape for name, p in part.named_parameters() if name.rpartition(".")[2] in ORIGINALS)
    twin = twin_of(part, layer_of(part), weight=torch.zeros(shape))
    twin.reset_parameters()
    weight = twin.weight.detach()
    found = {"bias": twin.bias}
    if CLASSES[type(norm)] == "WeightNorm":
        keys = ("weight_g", "weight_v") if is_legacy(norm) else [f"parametrizations.weight.original{i}" for i in (0, 1)]
        return found | dict(zip(keys, (torch.norm_except_dim(weight, 2, norm.dim), weight)))
    if is_legacy(norm):
        matrix = norm.reshape_weight_to_matrix(weight)
        u, v = (nn.functional.normalize(torch.randn(n), dim=0, eps=norm.eps) for n in matrix.shape)
        return found | {"weight_orig": weight, "weight_u": u, "weight_v": v}
    again = parametrizations._SpectralNorm(weight, norm.n_power_iterations, norm.dim, norm.eps)
    again(weight)
    below = "parametrizations.weight"
    return found | {f"{below}.original": weight, f"{below}.0._u": again._u, f"{below}.0._v": again._v}


def drawn(part, specs):
    """The weights of one part, under their keys below it, and the parts in it that these are of."""
    norm = norm_of(part)
    if norm is not None:
        return normed(part, norm), list(part.modules())
    twin = twin_of(part)
    if type(part) is nn.MultiheadAttention:
        twin._modules["out_proj"] = twin_of(part.out_proj)
        twin.out_proj.reset_parameters()  # in its constructor
        twin._reset_parameters()
        return dict(twin.named_parameters()), list(part.modules())
    own = {**part._parameters, **part._buffers}
    if id(part) in specs.structs:  # whose weights the page makes, if it can
        return {weight.name: own[weight.name] for weight in weights_of(part, specs)
                if weight.name in own and (weight.is_plain or weight.program or weight.numbers)}, [part]
    if type(part).__module__.startswith("torch.nn.") and hasattr(part, "reset_parameters"):
        twin.reset_parameters()
        return {**twin._parameters, **twin._buffers}, [part]
    return {name: value for name, value in own.items()
            if value is not None and value.numel() and bool((value == value.flatten()[:1]).all())}, [part]


def elsewhere(module, seed, specs):
    """The keys of the weights that begin with other numbers than in Python."""
    torch.manual_seed(seed)
    theirs, ours, done = module.state_dict(), {}, set()
    places = [path for path, _ in shared(module)]
    with torch.no_grad():
        for path, part in module.named_modules(remove_duplicate=False):
            # What is shared is made in each place, and stands in the first one.
            place = next((place for place in places if f"{path}.".startswith(f"{place}.")), None)
            if (place, id(part)) not in done:
                found, parts = drawn(part, specs)
                done |= {(place, id(inner)) for inner in parts}
                if place is None:
                    ours |= {f"{path}.{name}".lstrip("."): value for name, value in found.items() if value is not None}
    first = {}
    for named in (module.named_parameters, module.named_buffers):  # what is tied begins as its first owner's
        for key, value in named(remove_duplicate=False):
            if first.setdefault(id(value), key) in ours:
                ours[key] = ours[first[id(value)]]
    return [key for key, value in theirs.items() if isinstance(value, torch.Tensor) and
            (key not in ours or not torch.equal(ours[key].to(value.dtype), value))]
