"""Layers whose weight is computed of others: weight norm and spectral norm, as convkit has them."""

from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from .layers import CONVOLUTIONS, TABLE, Leaf, Unequal, literal, require

CLASSES = {_WeightNorm: "WeightNorm", WeightNorm: "WeightNorm",
           _SpectralNorm: "SpectralNorm", SpectralNorm: "SpectralNorm"}


def norm_of(m):
    """The parametrization, or the hook, that computes a module's weight; None where it is a weight like others."""
    if is_parametrized(m):
        found = [(name, part) for name, parts in m.parametrizations.items() for part in parts]
        if len(found) != 1 or found[0][0] != "weight" or type(found[0][1]) not in CLASSES:
            said = ", ".join(f"{name} by {type(part).__name__}" for name, part in found)
            raise Unequal(f"a parametrization of {said}")
        return found[0][1]
    hooks = [hook for hook in m._forward_pre_hooks.values() if type(hook) in CLASSES]
    if not hooks:
        return None
    require(len(m._forward_pre_hooks) == 1 and hooks[0].name == "weight", f"the hook of {hooks[0].name} beside others")
    return hooks[0]


def is_legacy(norm):
    return not isinstance(norm, nn.Module)


def layer_of(m):
    """The class that it was before."""
    return type(m).__bases__[0] if is_parametrized(m) else type(m)


def leaf_of(m):
    norm = norm_of(m)
    if norm is None:
        return None
    kind = layer_of(m)
    require(kind in CONVOLUTIONS or kind is nn.Linear, f"a {CLASSES[type(norm)]} of {kind.__name__}")
    inner, name, options = TABLE[kind](m), CLASSES[type(norm)], ""
    if name == "SpectralNorm":
        if norm.n_power_iterations != 1:
            options += f".n_power_iterations({norm.n_power_iterations})"
        if norm.eps != 1e-12:
            options += f".eps({literal(norm.eps)})"
        if norm.dim != (1 if "Transpose" in kind.__name__ else 0):
            options += f".dim({norm.dim})"
    elif norm.dim != 0:
        options += ".dim(std::nullopt)" if norm.dim == -1 else f".dim({norm.dim})"
    if is_legacy(norm):
        options += ".legacy(true)"
    leaf = Leaf(f"convkit::{name}", "convkit/parametrize.h", fixed=options)
    leaf.headers.add(inner.header)
    leaf.values, leaf.names, leaf.key = inner.values, inner.names, (*leaf.key, inner.key)
    more = f", convkit::{name}Options(){options}" if options else ""
    leaf.write = lambda values: f"{leaf.type}({inner.write(values)}{more})"
    return leaf
