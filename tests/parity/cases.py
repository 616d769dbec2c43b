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
        "Conv2dNormActivation": {"in_channels": 3, "out_channels": 8, "activation": "SiLU"},
        "LayerNorm2d": {"channels": 3, "eps": 1e-6},
        "FrozenBatchNorm2d": {"num_features": 3, "eps": 1e-5},
        "GlobalResponseNorm": {"dim": 3, "eps": 1e-6, "channels_last": False},
        "StdConv2d": {"in_channels": 3, "out_channels": 8, "kernel_size": 3},
        "ScaledStdConv2d": {"in_channels": 3, "out_channels": 8, "kernel_size": 3},
        "SqueezeExcitation": {"input_channels": 3, "squeeze_channels": 2, "activation": "SiLU", "scale_activation": "Sigmoid"},
        "EcaModule": {},
        "CbamModule": {"channels": 3, "rd_channels": 4, "act_layer": "SiLU"},
        "SCSEModule": {"in_channels": 3, "reduction": 1},
        "ASPP": {"in_channels": 3, "atrous_rates": [1, 2], "out_channels": 4},
        "PSPModule": {"in_channels": 3, "sizes": [2]},
        "UnetDecoderBlock": {"in_channels": 2, "skip_channels": 1, "out_channels": 4, "interpolation_mode": "bilinear"},
        "SegmentationHead": {"in_channels": 3, "out_channels": 2, "upsampling": 2},
        "FeaturePyramidNetwork": {"in_channels_list": [3, 2], "out_channels": 4},
        "BasicBlock": {"inplanes": 3, "planes": 4, "stride": 2, "downsample": True},
        "Bottleneck": {"inplanes": 3, "planes": 4, "stride": 2, "downsample": True},
        "MobileNetV2InvertedResidual": {"inp": 3, "oup": 3, "stride": 1, "expand_ratio": 4},
        "MobileNetV3InvertedResidual": {"input_channels": 8, "kernel": 3, "expanded_channels": 24, "out_channels": 8, "use_se": True,
                                        "use_hs": True, "stride": 1, "dilation": 1},
        "MBConv": {"expand_ratio": 4, "kernel": 3, "stride": 1, "input_channels": 8, "out_channels": 8},
        "FusedMBConv": {"expand_ratio": 4, "kernel": 3, "stride": 1, "input_channels": 8, "out_channels": 8},
        "CNBlock": {"dim": 3, "layer_scale": 0.5, "stochastic_depth_prob": 0.0},
    }
    upsampler = options["Upsampler"]
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "pixel-shuffle"):
        yield Case("Upsampler", {**upsampler, "mode": mode}, "photo")
        yield Case("Upsampler", {**upsampler, "mode": mode}, (2, 3, 13, 11), channels_last=True)
        yield Case("Upsampler", {**upsampler, "mode": mode}, (2, 3, 13, 11), dtype="bfloat16")
    for module, given in options.items():
        channels = given.get("input_channels", 3)
        if module != "ASPP" and channels == 3:  # the mean of one image has no variance
            yield Case(module, given, "photo")
        size = (2, channels, 13, 11)
        yield Case(module, given, size, dtype="float64")
        yield Case(module, given, size, dtype="bfloat16")
        yield Case(module, given, size, channels_last=True)


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


def standardised_convolutions():
    for size in [(1, 4, 12, 9), (3, 4, 7, 8)]:
        for module in ("StdConv2d", "ScaledStdConv2d"):
            for options in ({"kernel_size": 3}, {"kernel_size": [3, 5], "stride": [2, 1]}, {"kernel_size": 1}, {"kernel_size": 2, "stride": 2},
                            {"kernel_size": 4, "stride": 4}, {"kernel_size": 3, "dilation": 2}, {"kernel_size": 3, "padding": 0},
                            {"kernel_size": 3, "groups": 2}, {"kernel_size": 3, "bias": True}, {"kernel_size": 3, "bias": False},
                            {"kernel_size": 3, "eps": 1e-3}, {"kernel_size": 3, "padding": "same"}):
                yield Case(module, {"in_channels": 4, "out_channels": 6, **options}, size)
        yield Case("ScaledStdConv2d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "gamma": 1.7, "gain_init": 0.5}, size)


def more_attentions():
    for size in [(1, 32, 9, 7), (3, 32, 5, 6)]:
        for options in ({}, {"rd_ratio": 0.25}, {"rd_channels": 5}, {"rd_ratio": 0.3, "rd_divisor": 8}, {"spatial_kernel_size": 3, "mlp_bias": True},
                        {"act_layer": "SiLU", "gate_layer": "hard_sigmoid"}):
            yield Case("CbamModule", {"channels": 32, **options}, size)
        for reduction in (1, 7, 16):
            yield Case("SCSEModule", {"in_channels": 32, "reduction": reduction}, size)


def segmentations():
    for size in [(2, 6, 13, 11), (3, 6, 8, 16)]:
        for rates in ([12, 24, 36], [2], [1, 2]):
            yield Case("ASPP", {"in_channels": 6, "atrous_rates": rates, "out_channels": 5}, size)
        for sizes in ([1, 2, 3, 6], [1], [4, 2]):
            for norm in ("BatchNorm2d", "None", "InstanceNorm2d"):
                yield Case("PSPModule", {"in_channels": 12, "sizes": sizes, "norm": norm}, (size[0], 12, *size[2:]))
        for skip_channels in (2, 0):
            for options in ({}, {"norm": "None"}, {"norm": "InstanceNorm2d"}, {"attention_type": "scse"}, {"interpolation_mode": "nearest-exact"},
                            {"interpolation_mode": "bilinear"}, {"interpolation_mode": "bicubic"}, {"interpolation_mode": "area"}):
                if "attention_type" in options and skip_channels == 0:
                    continue  # attention1 gets no gradient
                channels = size[1] if "attention_type" not in options else 64
                yield Case("UnetDecoderBlock", {"in_channels": channels - skip_channels, "skip_channels": skip_channels, "out_channels": 64, **options},
                           (size[0], channels, *size[2:]))
        for options in ({}, {"kernel_size": 1}, {"kernel_size": 4}, {"activation": "Sigmoid"}, {"activation": "PReLU"}, {"upsampling": 2},
                        {"upsampling": 4, "activation": "Tanh"}, {"upsampling": 1.5}):
            yield Case("SegmentationHead", {"in_channels": 6, "out_channels": 3, **options}, size)
        for channels in ([6, 5, 4], [6], [2, 3]):
            for norm in ("None", "BatchNorm2d"):
                yield Case("FeaturePyramidNetwork", {"in_channels_list": channels, "out_channels": 4, "norm": norm}, size)


def network_blocks():
    for size in [(2, 8, 13, 11), (3, 8, 8, 6)]:
        yield Case("BasicBlock", {"inplanes": 8, "planes": 8}, size)
        for norm in ("BatchNorm2d", "GroupNorm", "FrozenBatchNorm2d"):
            options = {"inplanes": 8, "planes": 6, "stride": 2, "downsample": True, "norm": norm, "norm_groups": 2}
            yield Case("BasicBlock", options, size)
            yield Case("Bottleneck", options, size)
        yield Case("Bottleneck", {"inplanes": 8, "planes": 2}, size)
        for options in ({"dilation": 2}, {"dilation": 2, "stride": 2, "downsample": True}, {"groups": 4, "base_width": 32}, {"base_width": 128}, {"groups": 2, "base_width": 40}):
            yield Case("Bottleneck", {"inplanes": 32, "planes": 8, **options}, (size[0], 32, *size[2:]))
        for expand_ratio in (1, 2, 6):
            for stride, oup in ((1, 8), (1, 6), (2, 8)):
                yield Case("MobileNetV2InvertedResidual", {"inp": 8, "oup": oup, "stride": stride, "expand_ratio": expand_ratio}, size)
        for expanded_channels in (8, 40):
            for kernel, stride, dilation in ((3, 1, 1), (5, 2, 1), (5, 2, 2), (3, 1, 2)):
                for use_se, use_hs in ((False, False), (True, True)):
                    yield Case("MobileNetV3InvertedResidual", {"input_channels": 8, "kernel": kernel, "expanded_channels": expanded_channels,
                                                               "out_channels": 8, "use_se": use_se, "use_hs": use_hs, "stride": stride,
                                                               "dilation": dilation}, size)
        for module in ("MBConv", "FusedMBConv"):
            for expand_ratio in (1, 4):
                for kernel, stride, out_channels in ((3, 1, 8), (5, 2, 8), (3, 1, 16)):
                    yield Case(module, {"expand_ratio": expand_ratio, "kernel": kernel, "stride": stride, "input_channels": 8, "out_channels": out_channels}, size)
            yield Case(module, {"expand_ratio": 4, "kernel": 3, "stride": 1, "input_channels": 8, "out_channels": 8, "stochastic_depth_prob": 0.5}, (8, *size[1:]))
        for stochastic_depth_prob in (0.0, 0.5):
            yield Case("CNBlock", {"dim": 8, "layer_scale": 0.3, "stochastic_depth_prob": stochastic_depth_prob}, (8, *size[1:]))


def more_blocks():
    size = (2, 4, 3, 6, 5)
    for options in ({}, {"kernel_size": 1}, {"kernel_size": [1, 3, 3], "stride": [1, 2, 2]}, {"stride": 2}, {"padding": 0}, {"padding": [0, 1, 2]},
                    {"padding": "same"}, {"padding": "valid"}, {"dilation": [1, 2, 1]}, {"groups": 2}, {"bias": True}, {"norm": "None"},
                    {"norm": "None", "bias": False, "activation": "None"}, {"norm": "BatchNorm3d", "eps": 1e-3, "momentum": 0.01},
                    {"norm": "InstanceNorm3d"}, {"norm": "GroupNorm", "norm_groups": 3}, {"activation": "PReLU"}, {"activation": "SiLU"},
                    {"activation": "Hardswish"}):
        yield Case("Conv3dNormActivation", {"in_channels": 4, "out_channels": 6, **options}, size)
    yield Case("Conv3dNormActivation", {"in_channels": 4, "out_channels": 6}, (1, 4, 2, 7, 4), dtype="float64")
    for size in [(3, 6), (2, 5, 6), (2, 3, 4, 6)]:
        for options in ({}, {"hidden_channels": [7]}, {"activation": "GELU"}, {"inplace": True, "activation": "SiLU"}, {"bias": False}, {"dropout": 0.4},
                        {"dropout": 0.4, "inplace": True, "norm": "LayerNorm", "activation": "Hardswish"}, {"activation": "PReLU"}):
            yield Case("MLP", {"in_channels": 6, "hidden_channels": [8, 7, 5], **options}, size)
    yield Case("MLP", {"in_channels": 6, "hidden_channels": [8, 5], "norm": "BatchNorm1d"}, (4, 6))
    yield Case("MLP", {"in_channels": 6, "hidden_channels": [8, 5]}, (4, 6), dtype="bfloat16")
    for inplace in (False, True):
        for p, block_size in ((0.0, 3), (0.1, 3), (0.3, 1), (0.2, 5), (0.2, 99)):
            yield Case("DropBlock2d", {"p": p, "block_size": block_size, "inplace": inplace}, (2, 4, 13, 11))
            yield Case("DropBlock3d", {"p": p, "block_size": block_size, "inplace": inplace}, (2, 3, 5, 7, 6))
        for dtype in ("float64", "bfloat16"):
            yield Case("DropBlock2d", {"p": 0.2, "block_size": 3, "inplace": inplace, "eps": 1e-3}, (2, 4, 13, 11), dtype=dtype)
        yield Case("LayerScale2d", {"dim": 4, "init_values": 0.3, "inplace": inplace}, (2, 4, 5, 6))
    for options in ({}, {"eps": 1e-3, "momentum": 0.01}, {"apply_act": False}, {"act_layer": "ReLU6"}, {"act_layer": "SiLU"}, {"act_layer": "Hardswish"}):
        yield Case("BatchNormAct2d", {"num_features": 6, **options}, (3, 6, 5, 4))
    for options in ({}, {"eps": 1e-3, "momentum": 0.01}, {"affine": False}, {"track_running_stats": False}):
        for size in ((5, 6), (3, 6, 9), (3, 6, 5, 4), (2, 6, 3, 5, 4)):
            yield Case("SyncBatchNorm", {"num_features": 6, **options}, size)


def branches_and_contexts():
    for size in [(2, 16, 9, 7), (3, 16, 5, 6)]:
        for options in ({}, {"rd_ratio": 0.25}, {"rd_channels": 5}, {"rd_divisor": 4, "se_factor": 2.0}, {"bias": True}, {"has_skip": True},
                        {"act_layer": "ReLU", "gate_layer": "hardsigmoid"}, {"act_layer": "PReLU"}, {"norm": "None"}, {"norm": "GroupNorm", "norm_groups": 4}):
            yield Case("CoordAttn", {"channels": 16, **options}, size)
        for options in ({}, {"use_attn": False}, {"fuse_add": True}, {"fuse_add": True, "fuse_scale": False}, {"rd_ratio": 0.25}, {"rd_channels": 5},
                        {"rd_ratio": 0.3, "rd_divisor": 4}, {"act_layer": "GELU", "gate_layer": "hard_sigmoid"}):
            yield Case("GlobalContext", {"channels": 16, **options}, size)
        for options in ({}, {"out_channels": 6}, {"kernel_size": [3, 5, 7, 3]}, {"kernel_size": [3, 3]}, {"kernel_size": [3, 7], "keep_3x3": False}, {"stride": 2},
                        {"dilation": 2}, {"groups": 4}, {"groups": 4, "out_channels": 2, "split_input": False}, {"rd_ratio": 0.5}, {"rd_channels": 5},
                        {"rd_divisor": 3}, {"split_input": False}, {"act_layer": "SiLU"}, {"act_layer": "PReLU"}):
            yield Case("SelectiveKernel", {"in_channels": 16, **options}, size)
        for options in ({}, {"out_channels": 6}, {"kernel_size": 5, "stride": 2}, {"kernel_size": 4}, {"padding": 0}, {"dilation": 2}, {"groups": 2}, {"bias": True},
                        {"radix": 1}, {"radix": 4}, {"radix": 1, "groups": 2}, {"rd_ratio": 2.0}, {"rd_channels": 3}, {"rd_divisor": 5, "rd_ratio": 1.2},
                        {"act_layer": "SiLU"}, {"act_layer": "PReLU"}, {"norm": "BatchNorm2d"}, {"norm": "GroupNorm", "norm_groups": 2}):
            yield Case("SplitAttn", {"in_channels": 16, **options}, size)
    for module, options in (("CoordAttn", {"channels": 8}), ("GlobalContext", {"channels": 8, "rd_ratio": 0.5, "fuse_add": True}), ("SelectiveKernel", {"in_channels": 8}),
                            ("SplitAttn", {"in_channels": 8, "norm": "BatchNorm2d"})):
        yield Case(module, options, (2, 8, 13, 11), dtype="float64")
        yield Case(module, options, (2, 8, 13, 11), dtype="bfloat16")
        yield Case(module, options, (2, 8, 13, 11), channels_last=True)


def more_network_blocks():
    size = (2, 8, 13, 11)
    yield Case("Fire", {"inplanes": 8, "squeeze_planes": 2, "expand1x1_planes": 3, "expand3x3_planes": 5}, size)
    yield Case("BasicConv2d", {"in_channels": 8, "out_channels": 6, "kernel_size": 3, "stride": 2}, size)
    yield Case("Inception", {"in_channels": 8, "ch1x1": 2, "ch3x3red": 2, "ch3x3": 3, "ch5x5red": 2, "ch5x5": 3, "pool_proj": 4}, size)
    yield Case("InceptionA", {"in_channels": 8, "pool_features": 4}, size)
    yield Case("InceptionB", {"in_channels": 8}, size)
    yield Case("InceptionC", {"in_channels": 8, "channels_7x7": 4}, size)
    for drop_rate in (0.0, 0.3):
        yield Case("DenseLayer", {"num_input_features": 8, "growth_rate": 3, "bn_size": 2, "drop_rate": drop_rate}, size)
        yield Case("DenseBlock", {"num_layers": 3, "num_input_features": 8, "bn_size": 2, "growth_rate": 4, "drop_rate": drop_rate}, size)
    yield Case("ShuffleNetV2InvertedResidual", {"inp": 8, "oup": 8, "stride": 1}, size)
    yield Case("ShuffleNetV2InvertedResidual", {"inp": 8, "oup": 12, "stride": 2}, size)
    for kernel_size, stride, out_ch in ((3, 1, 8), (5, 2, 6)):
        yield Case("MNASNetInvertedResidual", {"in_ch": 8, "out_ch": out_ch, "kernel_size": kernel_size, "stride": stride, "expansion_factor": 3,
                                               "bn_momentum": 0.0003}, size)
    for options in ({"width_out": 8, "stride": 1}, {"width_out": 12, "stride": 2, "group_width": 4, "se_ratio": 0.5},
                    {"width_out": 12, "stride": 1, "bottleneck_multiplier": 0.5, "activation": "SiLU", "norm": "GroupNorm", "norm_groups": 2}):
        yield Case("ResBottleneckBlock", {"width_in": 8, **options}, size)
    yield Case("LRASPPHead", {"low_channels": 3, "high_channels": 5, "num_classes": 2, "inter_channels": 4}, size)
    size = (2, 6, 3, 7, 6)
    for kind in ("Conv3DSimple", "Conv2Plus1D", "Conv3DNoTemporal"):
        yield Case("VideoBasicBlock", {"inplanes": 6, "planes": 6, "kind": kind}, size)
        yield Case("VideoBasicBlock", {"inplanes": 6, "planes": 4, "kind": kind, "stride": 2}, size)
    yield Case("TemporalSeparableConv", {"in_planes": 6, "out_planes": 4, "kernel_size": 3, "stride": 2, "padding": 1}, size)
    yield Case("SepInceptionBlock3D", {"in_planes": 6, "b0_out": 2, "b1_mid": 3, "b1_out": 4, "b2_mid": 2, "b2_out": 3, "b3_out": 2}, size)


def multihead_attentions():
    given = {"embed_dim": 8, "num_heads": 2}
    for batch_first in (False, True):
        options = {**given, "batch_first": batch_first}
        for more in ({}, {"need_weights": False}, {"average_attn_weights": False}, {"grad": True}, {"bias": False},
                     {"grad": True, "need_weights": False}, {"dropout": 0.3}, {"dropout": 0.3, "need_weights": False},
                     {"mask": "bool"}, {"mask": "float"}, {"mask": "bool 3d", "need_weights": False}, {"mask": "float 3d"},
                     {"padding": "bool"}, {"padding": "float"}, {"padding": "bool", "need_weights": False},
                     {"mask": "bool", "padding": "bool"}, {"mask": "float", "padding": "float", "need_weights": False},
                     {"mask": "bool", "is_causal": True, "need_weights": False}, {"mask": "bool", "is_causal": True},
                     {"mask": "bool", "padding": "bool", "is_causal": True, "need_weights": False},
                     {"add_bias_kv": True}, {"add_zero_attn": True, "need_weights": False}, {"num_heads": 1},
                     {"add_bias_kv": True, "add_zero_attn": True, "mask": "float", "padding": "float"},
                     {"given": "memory"}, {"given": "memory", "need_weights": False, "bias": False}, {"given": "three"},
                     {"given": "three", "kdim": 5, "vdim": 6}, {"given": "memory", "kdim": 5, "vdim": 5, "bias": False}):
            yield Case("MultiheadAttention", {**options, **more}, (3, 4, 8))
        yield Case("MultiheadAttention", {**options, "mask": "float"}, (1, 5, 8))
        for more in ({}, {"need_weights": False, "mask": "bool 3d"}, {"padding": "bool"}, {"given": "memory", "average_attn_weights": False}):
            yield Case("MultiheadAttention", {**options, **more}, (5, 8))
        for dtype in ("float64", "bfloat16"):
            yield Case("MultiheadAttention", options, (3, 4, 8), dtype=dtype)


def upsamples():
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
        for options in ({"scale_factor": 2.0}, {"scale_factor": [1.5, 3.0]}, {"size": 7}, {"size": [9, 4]},
                        {"scale_factor": 1.7, "recompute_scale_factor": True}):
            for align_corners in ((False, True) if mode.startswith("bi") else (None,)):
                align = {} if align_corners is None else {"align_corners": align_corners}
                yield Case("Upsample", {"mode": mode, **options, **align}, (2, 3, 6, 5))
    yield Case("Upsample", {"mode": "linear", "scale_factor": 2.0}, (2, 3, 6))
    yield Case("Upsample", {"mode": "trilinear", "scale_factor": 2.0}, (2, 3, 4, 3, 5))
    yield Case("Upsample", {"mode": "nearest", "size": 5}, (2, 3, 6), dtype="float64")


def parametrized():
    sizes = {"Conv1d": (2, 4, 9), "Conv2d": (2, 4, 6, 5), "Conv3d": (2, 4, 4, 5, 6), "Linear": (2, 5, 4)}
    for layer in ("Conv1d", "Conv2d", "Conv2d grouped", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Linear"):
        size = sizes[layer.replace("Transpose", "").split()[0]]
        for kind in ("", "old "):
            yield Case("WeightNorm", {"layer": layer, "kind": kind + "weight_norm"}, size)
            yield Case("SpectralNorm", {"layer": layer, "kind": kind + "spectral_norm"}, size)
    for kind in ("", "old "):
        for dim in (1, "all"):
            yield Case("WeightNorm", {"layer": "Conv2d", "kind": kind + "weight_norm", "dim": dim}, sizes["Conv2d"])
        for options in ({"dim": 1}, {"power_iterations": 3}):
            yield Case("SpectralNorm", {"layer": "Conv2d", "kind": kind + "spectral_norm", **options}, sizes["Conv2d"])
        for module in ("Weight", "Spectral"):
            yield Case(f"{module}Norm", {"layer": "Conv2d", "kind": f"{kind}{module.lower()}_norm"}, sizes["Conv2d"], dtype="float64")


def cases():
    for family in (norms, conv_norm_activations, stochastic_depths, attentions, convolutions, conv_blocks, separable_convolutions, upsamplers, same,
                   blur_pools, special, standardised_convolutions, more_attentions, segmentations, network_blocks, more_blocks,
                   branches_and_contexts, more_network_blocks, multihead_attentions, upsamples, parametrized):
        yield from family()
