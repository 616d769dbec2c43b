"""The classes that torch::nn or convkit has, by exact type: how C++ makes each, and what of it would not be equal."""

import inspect

from torch import nn

from .graph import Expression
from .operators import literal


class Leaf:
    """A module of a class that C++ has. Its numbers are `values`; all else is in `key`."""

    def __init__(self, type, header, first=(), options=(), fixed="", inputs_kept=True):
        self.type, self.header, self.fixed = type, header, fixed
        self.first = list(first)      # (name, value), as positional arguments
        self.options = list(options)  # (name, value, default), chained
        self.values = [value for _, value in self.first] + [value for _, value, _ in self.options]
        self.names = [name for name, _ in self.first] + [name for name, _, _ in self.options]
        self.headers = {header}
        self.key = ("leaf", type, fixed, len(self.first), len(self.options))
        # Python overwrites the input, and C++ has no such form: then nobody may look at the input again.
        self.inputs_kept = inputs_kept
        self.parameters = None  # the names of its arguments, where it takes others than one tensor

    def write(self, values):
        """C++ that makes it, with these values in the place of its own."""
        count = len(self.first)
        first = ", ".join(map(written, values[:count]))
        chained = "".join(f".{name}({written(value)})" for value, (name, _, default) in zip(values[count:], self.options)
                          if value != default or isinstance(value, str)) + self.fixed
        if not chained and "{" not in first:
            return f"{self.type}({first})"
        return f"{self.type}({self.type}Options({first}){chained})"


def several(m, leaf):
    """Of a module that takes other arguments than one tensor: those of Python, in the same order."""
    leaf.parameters = list(inspect.signature(m.forward).parameters)
    return leaf


def written(value):
    if isinstance(value, tuple):
        return f"{{{', '.join(map(literal, value))}}}"
    return literal(value)


def plain(value):
    """(2, 2) is 2."""
    if isinstance(value, (tuple, list)):
        value = tuple(value)
        alike = value and all(type(one) is type(value[0]) for one in value) and isinstance(value[0], (bool, int, float))
        return value[0] if alike and all(one == value[0] for one in value) else value
    return value


class Unequal(Exception):
    """Why a module is not C++'s class of its name."""


def require(condition, what):
    if not condition:
        raise Unequal(what)


PADDING_MODES = {"zeros": "", "reflect": "torch::kReflect", "replicate": "torch::kReplicate",
                 "circular": "torch::kCircular"}


def convolution(m):
    name = type(m).__name__.removeprefix("Parametrized")  # which a weight norm puts before it
    fixed = "" if m.padding_mode == "zeros" else f".padding_mode({PADDING_MODES[m.padding_mode]})"
    options = [("stride", plain(m.stride), 1)]
    if isinstance(m.padding, str):
        fixed = f".padding(torch::k{m.padding.capitalize()})" + fixed
    else:
        options.append(("padding", plain(m.padding), 0))
    if m.transposed:
        options.append(("output_padding", plain(m.output_padding), 0))
    options += [("dilation", plain(m.dilation), 1), ("groups", m.groups, 1), ("bias", m.bias is not None, True)]
    first = [("in_channels", m.in_channels), ("out_channels", m.out_channels), ("kernel_size", plain(m.kernel_size))]
    return Leaf(f"nn::{name}", "torch/nn/modules/conv.h", first, options, fixed)


def batch_norm(m, affine=True, track=True):
    name = type(m).__name__
    require(m.bias is not None or not m.affine, "a norm with a weight and no bias")
    options = [("eps", m.eps, 1e-5)]
    fixed = ".momentum(std::nullopt)" if m.momentum is None else ""
    if not fixed:
        options.append(("momentum", m.momentum, 0.1))
    options += [("affine", m.affine, affine), ("track_running_stats", m.track_running_stats, track)]
    header = "batchnorm" if name.startswith("Batch") else "instancenorm"
    return Leaf(f"nn::{name}", f"torch/nn/modules/{header}.h", [("num_features", m.num_features)], options, fixed)


def group_norm(m):
    require(m.bias is not None or not m.affine, "a norm with a weight and no bias")
    return Leaf("nn::GroupNorm", "torch/nn/modules/normalization.h",
                [("num_groups", m.num_groups), ("num_channels", m.num_channels)],
                [("eps", m.eps, 1e-5), ("affine", m.affine, True)])


def layer_norm(m):
    require(m.bias is not None or not m.elementwise_affine, "a norm with a weight and no bias")
    require(len(m.normalized_shape) == 1 or len(set(m.normalized_shape)) > 1, "a norm over a square")
    shape = tuple(m.normalized_shape)
    leaf = Leaf("nn::LayerNorm", "torch/nn/modules/normalization.h", [("normalized_shape", shape)],
                [("eps", m.eps, 1e-5), ("elementwise_affine", m.elementwise_affine, True)])
    if len(shape) == 1:  # the braces are no part of the number
        leaf.values[0] = shape[0]
        write = leaf.write
        leaf.write = lambda values: write([Expression(f"{{{written(values[0])}}}"), *values[1:]])
    return leaf


def multihead_attention(m):
    separate = m.in_proj_weight is None
    options = [("dropout", float(m.dropout), 0.0), ("bias", m.in_proj_bias is not None, True),
               ("add_bias_kv", m.bias_k is not None, False), ("add_zero_attn", m.add_zero_attn, False)]
    options += [("kdim", m.kdim, None), ("vdim", m.vdim, None)] if separate else []
    return several(m, Leaf("convkit::MultiheadAttention", "convkit/multihead_attention.h",
                           [("embed_dim", m.embed_dim), ("num_heads", m.num_heads)],
                           [*options, ("batch_first", m.batch_first, False)]))


def recurrent(m):
    name = type(m).__name__
    options = [("num_layers", m.num_layers, 1), ("bias", m.bias, True), ("batch_first", m.batch_first, False),
               ("dropout", float(m.dropout), 0.0), ("bidirectional", m.bidirectional, False)]
    if name == "LSTM":
        options.append(("proj_size", m.proj_size, 0))
    fixed = ".nonlinearity(torch::kReLU)" if m.mode == "RNN_RELU" else ""
    return several(m, Leaf(f"nn::{name}", "torch/nn/modules/rnn.h", [("input_size", m.input_size),
                                                                     ("hidden_size", m.hidden_size)], options, fixed))


def recurrent_cell(m):
    fixed = ".nonlinearity(torch::kReLU)" if getattr(m, "nonlinearity", "tanh") == "relu" else ""
    return several(m, Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/rnn.h", [
        ("input_size", m.input_size), ("hidden_size", m.hidden_size)], [("bias", m.bias, True)], fixed))


def bilinear(m):
    first = [("in1_features", m.in1_features), ("in2_features", m.in2_features), ("out_features", m.out_features)]
    return several(m, Leaf("nn::Bilinear", "torch/nn/modules/linear.h", first, [("bias", m.bias is not None, True)]))


def cosine_similarity(m):
    return several(m, Leaf("nn::CosineSimilarity", "torch/nn/modules/distance.h", (),
                           [("dim", m.dim, 1), ("eps", m.eps, 1e-8)]))


def pairwise_distance(m):
    return several(m, Leaf("nn::PairwiseDistance", "torch/nn/modules/distance.h", (),
                           [("p", float(m.norm), 2.0), ("eps", m.eps, 1e-6), ("keepdim", m.keepdim, False)]))


def linear(m):
    first = [("in_features", m.in_features), ("out_features", m.out_features)]
    return Leaf("nn::Linear", "torch/nn/modules/linear.h", first, [("bias", m.bias is not None, True)])


def embedding(m):
    require(m.max_norm is None and not m.scale_grad_by_freq and not m.sparse, "max_norm, scale_grad_by_freq or sparse")
    fixed = "" if m.padding_idx is None else f".padding_idx({m.padding_idx})"
    return Leaf("nn::Embedding", "torch/nn/modules/embedding.h",
                [("num_embeddings", m.num_embeddings), ("embedding_dim", m.embedding_dim)], (), fixed)


def shrink(m):
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/activation.h", [("lambda", float(m.lambd))])


def activation(first=(), options=(), own_inplace=False):
    """Of the names of its positional arguments, and of options with their defaults."""
    def leaf(m):
        name = type(m).__name__
        chained = [(option, getattr(m, option), default) for option, default in options]
        overwrites = getattr(m, "inplace", False)
        if own_inplace and overwrites:
            chained.append(("inplace", True, False))
        return Leaf(f"nn::{name}", "torch/nn/modules/activation.h", [(f, getattr(m, f)) for f in first],
                    chained, inputs_kept=own_inplace or not overwrites)
    return leaf


def simple_relu(m):
    """Of ReLU, ReLU6 and SELU the options are `inplace` alone."""
    name = f"nn::{type(m).__name__}"
    fixed = f"{name}Options(/*inplace=*/true)" if m.inplace else ""
    leaf = Leaf(name, "torch/nn/modules/activation.h", fixed=fixed)
    leaf.write = lambda values: f"{name}({fixed})"
    return leaf


def gelu(m):
    fixed = "" if m.approximate == "none" else f'.approximate("{m.approximate}")'
    return Leaf("nn::GELU", "torch/nn/modules/activation.h", fixed=fixed)


def ours_inplace(m):
    leaf = Leaf(f"convkit::{type(m).__name__}", "convkit/activation.h", fixed="/*inplace=*/true" if m.inplace else "")
    leaf.write = lambda values: f"{leaf.type}({leaf.fixed})"
    return leaf


def dropout(m):
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/dropout.h", (),
                [("p", m.p, 0.5), ("inplace", m.inplace, False)])


def max_pool(m):
    require(not m.return_indices, "return_indices")
    kernel = plain(m.kernel_size)
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pooling.h", [("kernel_size", kernel)],
                [("stride", plain(m.stride), kernel), ("padding", plain(m.padding), 0),
                 ("dilation", plain(m.dilation), 1), ("ceil_mode", m.ceil_mode, False)])


def max_unpool(m):
    kernel = plain(m.kernel_size)
    return several(m, Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pooling.h", [("kernel_size", kernel)],
                           [("stride", plain(m.stride), kernel), ("padding", plain(m.padding), 0)]))


def avg_pool(m):
    kernel = plain(m.kernel_size)
    require(getattr(m, "divisor_override", None) is None, "divisor_override")
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pooling.h", [("kernel_size", kernel)],
                [("stride", plain(m.stride), kernel), ("padding", plain(m.padding), 0),
                 ("ceil_mode", m.ceil_mode, False), ("count_include_pad", m.count_include_pad, True)])


def power_pool(m):
    kernel = plain(m.kernel_size)
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pooling.h",
                [("norm_type", float(m.norm_type)), ("kernel_size", kernel)],
                [("stride", kernel if m.stride is None else plain(m.stride), kernel),
                 ("ceil_mode", m.ceil_mode, False)])


def fold(m):
    first = [("output_size", plain(m.output_size))] if type(m) is nn.Fold else []
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/fold.h", [*first, ("kernel_size", plain(m.kernel_size))],
                [(name, plain(getattr(m, name)), default) for name, default in
                 (("dilation", 1), ("padding", 0), ("stride", 1))])


def response_norm(m):
    if type(m) is nn.CrossMapLRN2d:
        require(m.size % 2 == 1, f"an even size {m.size}, with which C++'s backward fails")
        require(m.k == int(m.k), f"a k of {m.k}")
    k = [("k", int(m.k), 1)] if type(m) is nn.CrossMapLRN2d else [("k", float(m.k), 1.0)]
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/normalization.h", [("size", m.size)],
                [("alpha", m.alpha, 1e-4), ("beta", m.beta, 0.75), *k])


def adaptive_pool(m):
    size = plain(m.output_size)
    require(not getattr(m, "return_indices", False), "return_indices")
    require(size is not None, "an output_size of None")
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pooling.h", [("output_size", size)])


def flatten(m):
    return Leaf("nn::Flatten", "torch/nn/modules/linear.h", (),
                [("start_dim", m.start_dim, 1), ("end_dim", m.end_dim, -1)])


def padding(m):
    value = [("value", float(m.value))] if type(m).__name__.startswith("Constant") else []
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/padding.h", [("padding", plain(m.padding)), *value])


def softmax(m):
    require(m.dim is not None, "no dim")
    return Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/activation.h", [("dim", m.dim)])


MODES = {"linear": "Linear", "bilinear": "Bilinear", "bicubic": "Bicubic", "trilinear": "Trilinear",
         "nearest-exact": "NearestExact", "area": "Area"}


def upsample(m):
    """Numbers for each axis are no parameters of a constructor."""
    name = "size" if m.size is not None else "scale_factor"
    given, fixed = plain(getattr(m, name)), ""
    require(given is not None, "neither a size nor a scale_factor")
    if isinstance(given, tuple):
        fixed = f".{name}({written(given)})"
    if m.mode != "nearest":
        fixed += f".mode(torch::k{MODES[m.mode]})"
    if m.align_corners is not None:
        fixed += f".align_corners({literal(m.align_corners)})"
    if m.recompute_scale_factor:
        fixed += ".recompute_scale_factor(true)"
    options = [] if isinstance(given, tuple) else [(name, given, None)]
    leaf = Leaf("convkit::Upsample", "convkit/upsample.h", (), options, fixed)
    leaf.key = (*leaf.key, name)
    write = leaf.write
    leaf.write = lambda values: write([Expression(f"{{{written(value)}}}") for value in values])
    return leaf


def unflatten(m):
    require(isinstance(m.dim, int) and all(isinstance(size, int) for size in m.unflattened_size), "names of dimensions")
    sizes = ", ".join(map(str, m.unflattened_size))
    leaf = Leaf("nn::Unflatten", "torch/nn/modules/linear.h", fixed=f"{m.dim}, std::vector<int64_t>{{{sizes}}}")
    leaf.write = lambda values: f"nn::Unflatten(nn::UnflattenOptions({leaf.fixed}))"
    return leaf


def pixel_shuffle(factor):
    return lambda m: Leaf(f"nn::{type(m).__name__}", "torch/nn/modules/pixelshuffle.h", [(factor, getattr(m, factor))])


def nothing(header):
    return lambda m: Leaf(f"nn::{type(m).__name__}", f"torch/nn/modules/{header}.h")


TABLE = {}
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _define():
    for kind in CONVOLUTIONS:
        TABLE[kind] = convolution
    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        TABLE[kind] = batch_norm
    for kind in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d):
        TABLE[kind] = lambda m: batch_norm(m, False, False)
    for kind in (nn.ReLU, nn.ReLU6, nn.SELU):
        TABLE[kind] = simple_relu
    for kind in (nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout):
        TABLE[kind] = dropout
    for dims in (1, 2, 3):
        TABLE[getattr(nn, f"MaxPool{dims}d")] = max_pool
        TABLE[getattr(nn, f"AvgPool{dims}d")] = avg_pool
        TABLE[getattr(nn, f"AdaptiveAvgPool{dims}d")] = adaptive_pool
        TABLE[getattr(nn, f"AdaptiveMaxPool{dims}d")] = adaptive_pool
        TABLE[getattr(nn, f"LPPool{dims}d")] = power_pool
        for kind in ("Zero", "Reflection", "Replication", "Constant"):
            TABLE[getattr(nn, f"{kind}Pad{dims}d")] = padding
    for kind in (nn.Sigmoid, nn.Tanh, nn.LogSigmoid, nn.Softsign, nn.Tanhshrink, nn.Softmax2d):
        TABLE[kind] = nothing("activation")
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        TABLE[kind] = recurrent
    for kind in (nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        TABLE[kind] = recurrent_cell
    for kind in (nn.Softmax, nn.LogSoftmax, nn.Softmin):
        TABLE[kind] = softmax
    for kind in (nn.SiLU, nn.Mish):
        TABLE[kind] = activation()
    TABLE.update({
        nn.GroupNorm: group_norm, nn.LayerNorm: layer_norm, nn.LocalResponseNorm: response_norm,
        nn.CrossMapLRN2d: response_norm, nn.Linear: linear, nn.Bilinear: bilinear, nn.Embedding: embedding,
        nn.MultiheadAttention: multihead_attention, nn.Identity: nothing("linear"), nn.Flatten: flatten,
        nn.Upsample: upsample, nn.UpsamplingNearest2d: upsample, nn.UpsamplingBilinear2d: upsample,
        nn.Unflatten: unflatten, nn.Fold: fold, nn.Unfold: fold, nn.PixelShuffle: pixel_shuffle("upscale_factor"),
        nn.PixelUnshuffle: pixel_shuffle("downscale_factor"), nn.CosineSimilarity: cosine_similarity,
        nn.PairwiseDistance: pairwise_distance, nn.MaxUnpool2d: max_unpool, nn.GELU: gelu, nn.Hardswish: ours_inplace,
        nn.Hardsigmoid: ours_inplace, nn.Hardshrink: shrink, nn.Softshrink: shrink,
        nn.LeakyReLU: activation((), [("negative_slope", 0.01)], True), nn.ELU: activation((), [("alpha", 1.0)], True),
        nn.CELU: activation((), [("alpha", 1.0)], True),
        nn.Hardtanh: activation((), [("min_val", -1.0), ("max_val", 1.0)], True),
        nn.Threshold: activation(("threshold", "value"), (), True),
        nn.RReLU: activation((), [("lower", 1 / 8), ("upper", 1 / 3)], True),
        nn.PReLU: lambda m: Leaf("nn::PReLU", "torch/nn/modules/activation.h", (),
                                 [("num_parameters", m.num_parameters, 1), ("init", m.init, 0.25)]),
        nn.Softplus: activation((), [("beta", 1.0), ("threshold", 20.0)]),
        nn.GLU: activation(("dim",)),
    })


_define()
