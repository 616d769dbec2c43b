"""torch.nn.functional in C++."""

from .graph import Expression, Node
from .operators import OPERATORS, Operator, Written, function, inside, listed, method, pair, same


def in_place(name, parameters="input", default=""):
    """torch::name(x), or torch::name_(x) where `inplace` is true."""
    words = parameters.split()

    def write(w, *values):
        *values, inplace = values
        if isinstance(inplace, Expression):
            raise ValueError("inplace that differs between instances")
        rest = "".join(f", {w(value)}" for value in values[1:])
        return Written(f"torch::{name}{'_' if inplace else ''}({w(values[0])}{rest})")
    return Operator(" ".join([*words, "inplace=False"]), write)


def pooled(name, dims, parameters, rest):
    def write(w, x, kernel_size, stride, *more):
        stride = kernel_size if stride is None or stride == [] else stride
        values = [w(x), pair(kernel_size, w, dims), pair(stride, w, dims)]
        more = [*more]
        while more and same(more[-1], rest[len(more) - 1]):
            more.pop()
        values += [pair(v, w, dims) if type(default) is int else w(v) for v, default in zip(more, rest)]
        return Written(f"torch::{name}({', '.join(values)})")
    return Operator(parameters, write)


def adaptive(name, dims):
    return Operator("input output_size", lambda w, x, size: Written(f"torch::{name}({w(x)}, {pair(size, w, dims)})"))


def columns(name, parameters):
    """What unfold and fold call, all of whose numbers are pairs."""
    return Operator(parameters, lambda w, x, *sizes: Written(
        f"torch::{name}({', '.join([w(x), *(pair(size, w) for size in sizes)])})"))


def convolved(name, parameters):
    """Braces and a 0 could be the words that padding may be."""
    operator = function(name, parameters)
    write = operator.write

    def explicit(w, *values):
        values = list(values)
        if all(same(value, default) for value, default in zip(values[4:], (0, 1, 1))):
            return write(w, *values)
        if isinstance(values[4], (list, tuple)) or type(values[4]) is int:
            values[4] = Expression(f"torch::IntArrayRef({listed(values[4], w)})")
        return write(w, *values)
    operator.write = explicit
    return operator


def interpolated(w, x, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias):
    def vector(value, kind):
        if isinstance(value, Node) and value.type != kind:  # a list that forward was given
            return w(value)
        count = len(value) if isinstance(value, (list, tuple)) else 2
        return f"std::vector<{kind}>({pair(value, w, count)})"
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic", "linear", "trilinear", "area"):
        raise ValueError(f"interpolate with the mode {mode}")
    if getattr(x, "dims", 4) != 4 and not isinstance(size if scale_factor is None else scale_factor, (list, tuple)):
        raise ValueError("one size of an image that is not [N, C, H, W]")
    if antialias:
        if mode not in ("bilinear", "bicubic") or size is None:
            raise ValueError(f"interpolate with antialias, the mode {mode} and a scale_factor of {scale_factor}")
        return Written(f"torch::_upsample_{mode}2d_aa({w(x)}, {pair(size, w)}, {w(bool(align_corners))})")
    options = "nn::functional::InterpolateFuncOptions()"
    if size is not None:
        options += f".size({vector(size, 'int64_t')})"
    if scale_factor is not None:
        options += f".scale_factor({vector(scale_factor, 'double')})"
    if mode != "nearest":
        names = {"bilinear": "Bilinear", "bicubic": "Bicubic", "nearest-exact": "NearestExact", "area": "Area",
                 "linear": "Linear", "trilinear": "Trilinear"}
        options += f".mode(torch::k{names[mode]})"
    if align_corners is None and mode not in ("nearest", "area"):
        align_corners = False  # LibTorch warns where it is not said
    scales = scale_factor if isinstance(scale_factor, (list, tuple)) else [scale_factor]
    if recompute_scale_factor is None and any(isinstance(scale, float) and scale != int(scale) for scale in scales):
        recompute_scale_factor = False  # and of this
    if align_corners is not None:
        options += f".align_corners({w(align_corners)})"
    if recompute_scale_factor is not None:
        options += f".recompute_scale_factor({w(recompute_scale_factor)})"
    return Written(f"nn::functional::interpolate({w(x)}, {options})")


def normalized(w, x, p, dim, eps):
    return Written(f"nn::functional::normalize({w(x)}, nn::functional::NormalizeFuncOptions().p({w(p)}).dim({w(dim)})"
                   f".eps({w(eps)}))")


def channels_dropped(dims):
    def write(w, x, p, training, inplace):
        if x.dims != dims + 2:
            raise ValueError(f"dropout{dims}d of {x.dims} dimensions")
        return Written(f"torch::feature_dropout{'_' if inplace else ''}({w(x)}, {w(p)}, {w(training)})")
    return write


def _define():
    both = OPERATORS
    both["relu"] = Operator("input inplace=False", lambda w, x, inplace: Written(
        f"{inside(w(x), 3)}.relu_()" if inplace else f"torch::relu({w(x)})"))
    both["selu"] = in_place("selu")
    both["celu"] = in_place("celu", "input alpha=1.0")
    both["elu"] = in_place("elu", "input alpha=1.0")
    both["leaky_relu"] = in_place("leaky_relu", "input negative_slope=0.01")
    both["hardtanh"] = in_place("hardtanh", "input min_val=-1.0 max_val=1.0")
    for name in ("silu", "mish", "hardswish", "hardsigmoid", "relu6"):
        both[name] = in_place(name)
    both["gelu"] = function("gelu", "input approximate='none'")
    both["softplus"] = function("softplus", "input beta=1 threshold=20")
    both["logsigmoid"] = function("log_sigmoid", "input")
    both["glu"] = function("glu", "input dim=-1")
    both["prelu"] = function("prelu", "input weight")
    for name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
        both[name] = Operator("input p=0.5 training=True inplace=False", lambda w, x, p, training, inplace, name=name:
                              Written(f"torch::{name}{'_' if inplace else ''}({w(x)}, {w(p)}, {w(training)})"))
    both["linear"] = function("linear", "input weight bias=None")
    both["embedding"] = Operator("input weight padding_idx=None", lambda w, x, weight, padding_idx: Written(
        f"torch::embedding({w(weight)}, {w(x)}{'' if padding_idx is None else ', ' + w(padding_idx)})"))
    for dims in (1, 2, 3):
        both[f"conv{dims}d"] = convolved(
            f"conv{dims}d", "input weight bias=None stride=1 padding=0 dilation=1 groups=1")
        both[f"conv_transpose{dims}d"] = function(
            f"conv_transpose{dims}d", "input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1")
        both[f"max_pool{dims}d"] = pooled(
            f"max_pool{dims}d", dims, "input kernel_size stride=None padding=0 dilation=1 ceil_mode=False "
            "return_indices=False", [0, 1, False, False])
        both[f"max_pool{dims}d_with_indices"] = pooled(
            f"max_pool{dims}d_with_indices", dims, "input kernel_size stride=None padding=0 dilation=1 ceil_mode=False "
            "return_indices=False", [0, 1, False, True])
        both[f"avg_pool{dims}d"] = pooled(
            f"avg_pool{dims}d", dims, "input kernel_size stride=None padding=0 ceil_mode=False count_include_pad=True "
            "divisor_override=None", [0, False, True, None])
        both[f"adaptive_avg_pool{dims}d"] = adaptive(f"adaptive_avg_pool{dims}d", dims)
    both["pad"] = Operator("input pad mode='constant' value=None", lambda w, x, pad, mode, value: Written(
        f"torch::pad({w(x)}, {listed(pad, w)}" + (f", {w(mode)}" if mode != "constant" or value else "")
        + (f", {w(value)}" if value else "") + ")"))
    both["layer_norm"] = function("layer_norm", "input normalized_shape weight=None bias=None eps=1e-5", keep=2)
    both["rms_norm"] = function("rms_norm", "input normalized_shape weight=None eps=None", keep=2)
    both["unfold"] = columns("im2col", "input kernel_size dilation=1 padding=0 stride=1")
    both["fold"] = columns("col2im", "input output_size kernel_size dilation=1 padding=0 stride=1")
    both["group_norm"] = function("group_norm", "input num_groups weight=None bias=None eps=1e-5", keep=2)
    both["batch_norm"] = Operator(
        "input running_mean running_var weight=None bias=None training=False momentum=0.1 eps=1e-5",
        lambda w, x, mean, var, weight, bias, training, momentum, eps: Written(
            f"torch::batch_norm({w(x)}, {w(weight)}, {w(bias)}, {w(mean)}, {w(var)}, {w(training)}, {w(momentum)}, "
            f"{w(eps)}, /*cudnn_enabled=*/true)"))
    both["normalize"] = Operator("input p=2.0 dim=1 eps=1e-12", normalized)
    both["interpolate"] = Operator("input size=None scale_factor=None mode='nearest' align_corners=None "
                                   "recompute_scale_factor=None antialias=False", interpolated)
    both["scaled_dot_product_attention"] = function(
        "scaled_dot_product_attention", "query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None "
        "enable_gqa=False", keep=3)
    for name in ("triu", "tril"):
        both[name] = method(name, "input diagonal=0")
    for dims in (1, 2, 3):
        both[f"dropout{dims}d"] = Operator("input p=0.5 training=True inplace=False", channels_dropped(dims))
    both["rms_norm"] = function("rms_norm", "input normalized_shape weight=None eps=None", keep=2)
    both["channel_shuffle"] = function("channel_shuffle", "input groups")
    both["pixel_shuffle"] = function("pixel_shuffle", "input upscale_factor")
    both["pixel_unshuffle"] = function("pixel_unshuffle", "input downscale_factor")


_define()
