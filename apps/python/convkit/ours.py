"""The classes of other packages that convkit has, by exact type and the name of their module."""

from torch import nn

from .layers import Leaf, plain

ACTIVATIONS = {nn.ReLU: "kReLU", nn.ReLU6: "kReLU6", nn.LeakyReLU: "kLeakyReLU", nn.ELU: "kELU", nn.SiLU: "kSiLU",
               nn.Mish: "kMish", nn.Hardswish: "kHardswish", nn.Hardsigmoid: "kHardsigmoid", nn.Sigmoid: "kSigmoid",
               nn.Tanh: "kTanh"}


def activation_of(m):
    """convkit's name of an activation with its defaults, else None."""
    kind = ACTIVATIONS.get(type(m))
    usual = {"kLeakyReLU": ("negative_slope", 0.01), "kELU": ("alpha", 1.0)}.get(kind)
    return kind if usual is None or getattr(m, usual[0]) == usual[1] else None


def is_plain_conv(m):
    return type(m) is nn.Conv2d and m.padding_mode == "zeros" and not isinstance(m.padding, str)


def conv_norm_activation(m):
    parts = list(m)
    if list(m._modules) != [str(i) for i in range(len(parts))] or not parts or not is_plain_conv(parts[0]):
        return None
    conv, rest = parts[0], parts[1:]
    fixed, options = "", []
    norm = rest.pop(0) if rest and type(rest[0]) is nn.BatchNorm2d else None
    if norm is not None and not (norm.affine and norm.track_running_stats and norm.momentum is not None):
        return None
    if len(rest) > 1:
        return None
    kernel, dilation = conv.kernel_size, conv.dilation
    usual = plain(tuple((k - 1) // 2 * d for k, d in zip(kernel, dilation)))
    # Their own option says that the padding follows from the others; instances that differ in it are two kinds.
    if plain(conv.padding) != usual:
        options.append(("padding", plain(conv.padding), None))
    options = [("stride", plain(conv.stride), 1), *options, ("groups", conv.groups, 1)]
    if norm is None:
        fixed += ".norm({convkit::Norm::kNone})"
    elif (norm.eps, norm.momentum) != (1e-5, 0.1):
        fixed += f".norm({{.eps = {norm.eps!r}, .momentum = {norm.momentum!r}}})"
    if not rest:
        fixed += ".activation({convkit::Activation::kNone})"
    else:
        kind = activation_of(rest[0])
        if kind is None:
            return None
        if kind != "kReLU":
            fixed += f".activation({{convkit::Activation::{kind}}})"
        if hasattr(rest[0], "inplace") and not rest[0].inplace:
            fixed += ".inplace(false)"
    options.append(("dilation", plain(dilation), 1))
    if (conv.bias is not None) != (norm is None):
        options.append(("bias", conv.bias is not None, None))
    first = [("in_channels", conv.in_channels), ("out_channels", conv.out_channels)]
    return Leaf("convkit::Conv2dNormActivation", "convkit/blocks.h", first,
                [("kernel_size", plain(kernel), 3), *options], fixed)


def squeeze_excitation(m):
    fits = (list(m._modules) == ["avgpool", "fc1", "fc2", "activation", "scale_activation"]
            and type(m.avgpool) is nn.AdaptiveAvgPool2d and plain(m.avgpool.output_size) == 1
            and all(is_plain_conv(fc) and fc.kernel_size == (1, 1) and fc.bias is not None and fc.groups == 1
                    for fc in (m.fc1, m.fc2)))
    kinds = [activation_of(m.activation), activation_of(m.scale_activation)] if fits else [None]
    if None in kinds or getattr(m.scale_activation, "inplace", False):
        return None
    fixed = "" if kinds[0] == "kReLU" else f".activation({{convkit::Activation::{kinds[0]}}})"
    fixed += "" if kinds[1] == "kSigmoid" else f".scale_activation({{convkit::Activation::{kinds[1]}}})"
    return Leaf("convkit::SqueezeExcitation", "convkit/attention.h",
                [("input_channels", m.fc1.in_channels), ("squeeze_channels", m.fc1.out_channels)], (), fixed)


def stochastic_depth(m):
    mode = {"row": "kRow", "batch": "kBatch"}[m.mode]
    leaf = Leaf("convkit::StochasticDepth", "convkit/blocks.h", [("p", float(m.p))], (), mode)
    leaf.write = lambda values: f"{leaf.type}({values[0]}, convkit::StochasticDepthMode::{mode})"
    return leaf


def permute(m):
    leaf = Leaf("convkit::Permute", "convkit/blocks.h", fixed=str(tuple(m.dims)))
    leaf.write = lambda values: f"{leaf.type}(std::vector<int64_t>{{{', '.join(map(str, m.dims))}}})"
    return leaf


def channel_norm(m):
    if len(m.normalized_shape) != 1 or not m.elementwise_affine:
        return None
    first = [("channels", m.normalized_shape[0])]
    return Leaf("convkit::LayerNorm2d", "convkit/norm.h", [*first, ("eps", m.eps)] if m.eps != 1e-5 else first)


def frozen(m):
    first = [("num_features", m.weight.shape[0])]
    return Leaf("convkit::FrozenBatchNorm2d", "convkit/norm.h", [*first, ("eps", m.eps)] if m.eps != 1e-5 else first)


TABLE = {
    "torchvision.ops.misc.Conv2dNormActivation": conv_norm_activation,
    "torchvision.ops.misc.SqueezeExcitation": squeeze_excitation,
    "torchvision.ops.stochastic_depth.StochasticDepth": stochastic_depth,
    "torchvision.ops.misc.Permute": permute,
    "torchvision.models.convnext.LayerNorm2d": channel_norm,
    "torchvision.ops.misc.FrozenBatchNorm2d": frozen,
}


def leaf_of(m):
    make = TABLE.get(f"{type(m).__module__}.{type(m).__qualname__}")
    return make(m) if make else None
