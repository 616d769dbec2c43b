"""The parity cases: which module, with which options, on which input."""

from dataclasses import dataclass


@dataclass
class Case:
    module: str
    options: dict
    input: tuple  # the shape, or "photo": a part of scikit-learn's sample image
    dtype: str = "float32"
    channels_last: bool = False

    @property
    def name(self):
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        extra = "" if self.dtype == "float32" else f", {self.dtype}"
        extra += ", channels_last" if self.channels_last else ""
        return f"{self.module}({options}) on {self.input}{extra}"


def convolutions():
    for size in [(1, 3, 32, 32), (4, 3, 17, 23)]:
        yield Case("standard_conv2d", {"in_channels": 3, "out_channels": 64}, size)
        for stride in (1, 2, 3):
            yield Case("strided_conv2d", {"in_channels": 3, "out_channels": 8, "stride": stride}, size)
        for dilation in (1, 2, 3):
            yield Case("dilated_conv2d",
                       {"in_channels": 3, "out_channels": 8, "dilation": dilation}, size)
        yield Case("depthwise_conv2d", {"channels": 3}, size)
        yield Case("pointwise_conv2d", {"in_channels": 3, "out_channels": 8}, size)
    yield Case("depthwise_conv2d", {"channels": 64}, (1, 64, 32, 32))
    yield Case("pointwise_conv2d", {"in_channels": 64, "out_channels": 128}, (1, 64, 32, 32))
    yield Case("standard_conv2d", {"in_channels": 3, "out_channels": 8}, (3, 9, 7))


def conv_blocks():
    yield Case("ConvBlock", {"in_channels": 3, "out_channels": 64}, (1, 3, 32, 32))
    for size in [(1, 3, 19, 14), (4, 3, 11, 13)]:
        for kernel_size in (1, 3, 5, [3, 5], [1, 7]):
            for stride in (1, 2, [2, 1]):
                options = {"in_channels": 3, "out_channels": 8, "kernel_size": kernel_size,
                           "stride": stride}
                yield Case("ConvBlock", options, size)
        for padding in (0, 2, [2, 1], "same", "valid"):
            options = {"in_channels": 3, "out_channels": 8, "kernel_size": [3, 5], "padding": padding}
            yield Case("ConvBlock", options, size)


def separable_convolutions():
    yield Case("SeparableConv2d", {"in_channels": 64, "out_channels": 128}, (1, 64, 32, 32))
    for size in [(1, 6, 19, 14), (4, 6, 11, 13)]:
        for kernel_size, padding in ((1, 0), (3, 1), (5, 2), ([3, 5], [1, 2]), ([3, 5], "same")):
            for depth_multiplier in (1, 3):
                options = {"in_channels": 6, "out_channels": 10, "kernel_size": kernel_size,
                           "padding": padding, "depth_multiplier": depth_multiplier}
                yield Case("SeparableConv2d", options, size)
        for stride, dilation in ((2, 1), ([1, 2], 1), (1, 2), (1, [2, 3]), (2, 2)):
            options = {"in_channels": 6, "out_channels": 10, "stride": stride, "dilation": dilation}
            yield Case("SeparableConv2d", options, size)
        for biases in ((True, False), (False, True), (False, False)):
            options = {"in_channels": 6, "out_channels": 10, "depthwise_bias": biases[0],
                       "pointwise_bias": biases[1]}
            yield Case("SeparableConv2d", options, size)
    yield Case("SeparableConv2d", {"in_channels": 6, "out_channels": 10}, (6, 9, 7))


def upsamplers():
    yield Case("Upsampler", {"in_channels": 64, "out_channels": 32}, (1, 64, 16, 16))
    for size in [(1, 4, 9, 7), (4, 4, 5, 6)]:
        for scale_factor in (1, 2, 3, 4, 5):
            for bias in (True, False):
                options = {"in_channels": 4, "out_channels": 6, "scale_factor": scale_factor,
                           "bias": bias}
                yield Case("Upsampler", options, size)
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "pixel-shuffle"):
            for scale_factor in (1, 2, 3):
                options = {"in_channels": 4, "out_channels": 6, "scale_factor": scale_factor,
                           "mode": mode, "bias": scale_factor != 3}
                yield Case("Upsampler", options, size)


def same():
    for size in [(1, 4, 19, 14), (4, 4, 11, 13)]:
        for kernel_size in (1, 2, 3, [3, 5], [4, 1]):
            for stride in (1, 2, [3, 2]):
                for dilation in (1, [1, 3]):
                    options = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
                    yield Case("MaxPool2dSame", options, size)
                    yield Case("Conv2dSame", {"in_channels": 4, "out_channels": 6, **options}, size)
                options = {"kernel_size": kernel_size, "stride": stride}
                yield Case("AvgPool2dSame", options, size)
        for padding_mode in ("reflect", "replicate", "circular"):
            for kernel_size, stride in ((3, 1), ([1, 5], 1), ([4, 3], 2)):
                options = {"in_channels": 4, "out_channels": 6, "kernel_size": kernel_size,
                           "stride": stride, "padding_mode": padding_mode}
                yield Case("Conv2dSame", options, size)
        options = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False}
        yield Case("Conv2dSame", options, size)
    yield Case("Conv2dSame", {"in_channels": 4, "out_channels": 6, "kernel_size": 3}, (4, 9, 7))


def blur_pools():
    yield Case("BlurPool2d", {}, (1, 3, 16, 16))
    for size in [(1, 4, 19, 14), (4, 4, 11, 13)]:
        for filt_size in (2, 3, 4, 5, 7):
            for stride in (1, 2, 3):
                yield Case("BlurPool2d", {"filt_size": filt_size, "stride": stride}, size)
        for pad_mode in ("constant", "replicate", "circular"):
            yield Case("BlurPool2d", {"channels": 4, "pad_mode": pad_mode}, size)


def special():
    """A real photograph, other dtypes and another memory format, once for each module."""
    options = {
        "standard_conv2d": {"in_channels": 3, "out_channels": 8},
        "strided_conv2d": {"in_channels": 3, "out_channels": 8},
        "dilated_conv2d": {"in_channels": 3, "out_channels": 8},
        "depthwise_conv2d": {"channels": 3},
        "pointwise_conv2d": {"in_channels": 3, "out_channels": 8},
        "ConvBlock": {"in_channels": 3, "out_channels": 8},
        "SeparableConv2d": {"in_channels": 3, "out_channels": 8},
        "Upsampler": {"in_channels": 3, "out_channels": 8},
        "Conv2dSame": {"in_channels": 3, "out_channels": 8, "kernel_size": [3, 4], "stride": 2},
        "MaxPool2dSame": {"kernel_size": 3, "stride": 2},
        "AvgPool2dSame": {"kernel_size": 3, "stride": 2},
        "BlurPool2d": {"channels": 3, "filt_size": 5},
    }
    upsampler = options["Upsampler"]
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "pixel-shuffle"):
        yield Case("Upsampler", {**upsampler, "mode": mode}, "photo")
        yield Case("Upsampler", {**upsampler, "mode": mode}, (2, 3, 13, 11), channels_last=True)
        yield Case("Upsampler", {**upsampler, "mode": mode}, (2, 3, 13, 11), dtype="bfloat16")
    for module, given in options.items():
        yield Case(module, given, "photo")
        yield Case(module, given, (2, 3, 13, 11), dtype="float64")
        yield Case(module, given, (2, 3, 13, 11), dtype="bfloat16")
        yield Case(module, given, (2, 3, 13, 11), channels_last=True)


ACTIVATIONS = ("None", "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SiLU", "GELU", "GELUTanh", "Mish", "Hardswish",
               "Hardsigmoid", "Sigmoid", "Tanh")
NORMS = ("None", "BatchNorm2d", "GroupNorm", "InstanceNorm2d", "LayerNorm2d", "FrozenBatchNorm2d")


def norms():
    for size in [(1, 6, 9, 7), (3, 6, 5, 6)]:
        for eps in (1e-5, 1e-3):
            yield Case("LayerNorm2d", {"channels": 6, "eps": eps}, size)
            yield Case("FrozenBatchNorm2d", {"num_features": 6, "eps": eps}, size)
            yield Case("GlobalResponseNorm", {"dim": 6, "eps": eps, "channels_last": False}, size)
        yield Case("GlobalResponseNorm", {"dim": size[3]}, size)
        for inplace in (False, True):
            yield Case("Hardswish", {"inplace": inplace}, size)
            yield Case("Hardsigmoid", {"inplace": inplace}, size)


def conv_norm_activations():
    sizes = [(2, 4, 9, 7), (1, 4, 12, 13)]
    for norm in NORMS:
        for activation in ACTIVATIONS:
            yield Case("Conv2dNormActivation", {"in_channels": 4, "out_channels": 6, "norm": norm, "activation": activation,
                                                "norm_groups": 3}, sizes[0])
    for options in ({}, {"kernel_size": 1}, {"kernel_size": 5, "stride": 2}, {"kernel_size": [3, 5], "dilation": [2, 1]}, {"kernel_size": 4},
                    {"padding": 0}, {"padding": [2, 1]}, {"padding": "same"}, {"padding": "valid"}, {"groups": 2}, {"bias": True}, {"bias": False, "norm": "None"},
                    {"dilation": 3}, {"eps": 1e-3, "momentum": 0.01}, {"stride": [2, 1], "norm": "None", "activation": "None"}):
        for size in sizes:
            yield Case("Conv2dNormActivation", {"in_channels": 4, "out_channels": 6, **options}, size)


def stochastic_depths():
    for mode in ("batch", "row"):
        for p in (0.0, 0.2, 0.5):
            yield Case("StochasticDepth", {"p": p, "mode": mode}, (16, 3, 5, 4))


def attentions():
    for size in [(1, 8, 9, 7), (3, 8, 5, 6)]:
        for activation, scale_activation in (("ReLU", "Sigmoid"), ("SiLU", "Sigmoid"), ("ReLU", "Hardsigmoid"), ("GELU", "Tanh")):
            yield Case("SqueezeExcitation", {"input_channels": 8, "squeeze_channels": 3, "activation": activation,
                                             "scale_activation": scale_activation}, size)
        yield Case("EcaModule", {}, size)
        for kernel_size in (5, 7):
            yield Case("EcaModule", {"kernel_size": kernel_size}, size)
        for channels in (8, 64, 1024):
            yield Case("EcaModule", {"channels": channels}, (size[0], channels, 4, 3))
        yield Case("EcaModule", {"channels": 8, "gamma": 0.5, "beta": 2.0}, size)


def cases():
    for family in (norms, conv_norm_activations, stochastic_depths, attentions, convolutions, conv_blocks, separable_convolutions, upsamplers, same, blur_pools,
                   special):
        yield from family()
