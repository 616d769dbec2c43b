"""The Python modules that convkit's are held to: torchvision's, timm's, smp's and kornia's own, and the
Q&A's as it writes them, with the options that convkit adds passed on to torch.nn."""

import torchvision_operators  # noqa: F401, isort: skip

from functools import partial

import segmentation_models_pytorch as smp
import timm.layers
import torch
import torchvision.ops
import torch.nn.functional as F
from segmentation_models_pytorch.base.modules import SCSEModule  # noqa: F401
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule as SmpPSPModule
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock as SmpUnetDecoderBlock
from timm.layers import LayerScale2d  # noqa: F401
from timm.layers.cbam import CbamModule as TimmCbamModule
from timm.layers.padding import pad_same_arg
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame  # noqa: F401
from torch import nn
from torch.nn import SyncBatchNorm  # noqa: F401
from torchvision.models import convnext, densenet, efficientnet, inception, mobilenetv2, mobilenetv3, regnet, resnet
from torchvision.models.convnext import LayerNorm2d as TorchvisionLayerNorm2d
from torchvision.models.segmentation.deeplabv3 import ASPP  # noqa: F401
from torchvision.models.densenet import _DenseBlock as DenseBlock  # noqa: F401
from torchvision.models.googlenet import Inception  # noqa: F401
from torchvision.models.inception import InceptionA, InceptionB, InceptionC  # noqa: F401
from torchvision.models.mnasnet import _InvertedResidual as MNASNetInvertedResidual  # noqa: F401
from torchvision.models.segmentation.lraspp import LRASPPHead as TorchvisionLRASPPHead
from torchvision.models.shufflenetv2 import InvertedResidual as ShuffleNetV2InvertedResidual  # noqa: F401
from torchvision.models.squeezenet import Fire  # noqa: F401
from torchvision.models.video import resnet as video_resnet
from torchvision.models.video.s3d import SepInceptionBlock3D as TorchvisionSepInceptionBlock3D
from torchvision.models.video.s3d import TemporalSeparableConv as TorchvisionTemporalSeparableConv
from torchvision.ops import DropBlock2d, DropBlock3d, FrozenBatchNorm2d, Permute, StochasticDepth  # noqa: F401


def standard_conv2d(in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=1, padding=1)


def strided_conv2d(in_channels, out_channels, stride=2):
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)


def dilated_conv2d(in_channels, out_channels, dilation=2):
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, dilation=dilation, padding=dilation)


def depthwise_conv2d(channels):
    return nn.Conv2d(channels, channels, kernel_size=3, groups=channels, padding=1)


def pointwise_conv2d(in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


class ConvBlock(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.bn(self.conv(x)))


class SeparableConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1, dilation=1,
                 depth_multiplier=1, depthwise_bias=True, pointwise_bias=True):
        super().__init__()
        depth = in_channels * depth_multiplier
        self.depthwise = nn.Conv2d(in_channels, depth, kernel_size, stride, padding, dilation,
                                   groups=in_channels, bias=depthwise_bias)
        self.pointwise = nn.Conv2d(depth, out_channels, kernel_size=1, bias=pointwise_bias)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


def icnr_(weight, scale_factor):
    """One filter for each of scale_factor^2 neighbouring output channels, as MONAI writes it."""
    out_channels, in_channels, *kernel_size = weight.shape
    few = out_channels // scale_factor**2
    kernel = torch.zeros([few, in_channels, *kernel_size])
    nn.init.kaiming_normal_(kernel)
    kernel = kernel.transpose(0, 1).reshape(few, in_channels, -1).repeat(1, 1, scale_factor**2)
    kernel = kernel.reshape([in_channels, out_channels, *kernel_size]).transpose(0, 1)
    with torch.no_grad():
        return weight.copy_(kernel)


class Upsampler(nn.Module):
    def __init__(self, in_channels, out_channels, scale_factor=2, mode="transposed", bias=True):
        super().__init__()
        self.scale_factor, self.mode = scale_factor, mode
        if mode == "transposed":
            self.conv = nn.ConvTranspose2d(in_channels, out_channels,
                                           kernel_size=2 * scale_factor - scale_factor % 2,
                                           stride=scale_factor, padding=scale_factor // 2, bias=bias)
        elif mode == "pixel-shuffle":
            self.conv = nn.Conv2d(in_channels, out_channels * scale_factor**2, 3, padding=1, bias=bias)
            icnr_(self.conv.weight, scale_factor)
            if bias:
                nn.init.zeros_(self.conv.bias)
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, x):
        if self.mode == "transposed":
            return self.conv(x)
        if self.mode == "pixel-shuffle":
            return F.pixel_shuffle(self.conv(x), self.scale_factor)
        align = {} if self.mode.startswith("nearest") else {"align_corners": False}
        return self.conv(F.interpolate(x, scale_factor=self.scale_factor, mode=self.mode, **align))


class Conv2dSame(timm.layers.Conv2dSame):
    """timm's, and with the padding modes of torch.nn.Conv2d, which it lacks."""

    def __init__(self, *args, padding_mode="zeros", **kwargs):
        super().__init__(*args, **kwargs)
        self.same_padding_mode = padding_mode

    def forward(self, x):
        if self.same_padding_mode == "zeros":
            return super().forward(x)
        pads = pad_same_arg(x.shape[-2:], self.kernel_size, self.stride, self.dilation)
        x = F.pad(x, pads, mode=self.same_padding_mode)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class BlurPool2d(timm.layers.BlurPool2d):
    pass


def GlobalResponseNorm(dim, eps=1e-6, channels_last=True):
    return timm.layers.grn.GlobalResponseNorm(dim, eps, channels_last)


def LayerNorm2d(channels, eps=1e-5):
    return TorchvisionLayerNorm2d(channels, eps)


def Hardswish(inplace=False):
    return nn.Hardswish(inplace)


def Hardsigmoid(inplace=False):
    return nn.Hardsigmoid(inplace)


def norm_layer(name, eps=1e-5, momentum=0.1, groups=32):
    if name == "None":
        return None
    if name == "BatchNorm2d":
        return partial(nn.BatchNorm2d, eps=eps, momentum=momentum)
    if name == "GroupNorm":
        return lambda channels, **made: nn.GroupNorm(groups, channels, eps, **made)
    if name in ("BatchNorm1d", "BatchNorm3d"):
        return partial(getattr(nn, name), eps=eps, momentum=momentum)
    return partial({"InstanceNorm2d": nn.InstanceNorm2d, "LayerNorm2d": TorchvisionLayerNorm2d,
                    "FrozenBatchNorm2d": FrozenBatchNorm2d, "LayerNorm": nn.LayerNorm,
                    "InstanceNorm3d": nn.InstanceNorm3d}[name], eps=eps)


def activation_layer(name):
    """A class, and whether it takes inplace."""
    if name == "None":
        return None, None
    if name == "GELUTanh":
        return partial(nn.GELU, approximate="tanh"), None
    without = name in ("PReLU", "GELU", "Sigmoid", "Tanh")
    return getattr(nn, name), None if without else True


def Conv2dNormActivation(in_channels, out_channels, norm="BatchNorm2d", activation="ReLU", eps=1e-5, momentum=0.1,
                         norm_groups=32, **options):
    layer, inplace = activation_layer(activation)
    return torchvision.ops.Conv2dNormActivation(
        in_channels, out_channels, norm_layer=norm_layer(norm, eps, momentum, norm_groups), activation_layer=layer,
        inplace=inplace, **options)


def Conv3dNormActivation(in_channels, out_channels, norm="BatchNorm3d", activation="ReLU", eps=1e-5, momentum=0.1,
                         norm_groups=32, **options):
    layer, inplace = activation_layer(activation)
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return torchvision.ops.Conv3dNormActivation(
        in_channels, out_channels, norm_layer=norm_layer(norm, eps, momentum, norm_groups), activation_layer=layer,
        inplace=inplace, **options)


def MLP(norm="None", activation="ReLU", **options):
    return torchvision.ops.MLP(norm_layer=norm_layer(norm), activation_layer=activation_layer(activation)[0], **options)


def timm_options(act_layer="ReLU", norm="BatchNorm2d", norm_groups=32, **options):
    """Options of timm's blocks, of which all take these two."""
    act_layer = timm.layers.PReLU if act_layer == "PReLU" else activation_layer(act_layer)[0]
    return {**options, "act_layer": act_layer, "norm_layer": norm_layer(norm, groups=norm_groups)}


def BatchNormAct2d(act_layer="ReLU", **options):
    return timm.layers.BatchNormAct2d(act_layer=activation_layer(act_layer)[0], **options)


def CoordAttn(act_layer="Hardswish", **options):
    return timm.layers.coord_attn.CoordAttn(**timm_options(act_layer, **options))


def GlobalContext(act_layer="ReLU", **options):
    return timm.layers.GlobalContext(act_layer=activation_layer(act_layer)[0], **options)


def SelectiveKernel(act_layer="ReLU", **options):
    return timm.layers.SelectiveKernel(act_layer=activation_layer(act_layer)[0], **options)


def SplitAttn(act_layer="ReLU", norm="None", **options):
    return timm.layers.SplitAttn(**timm_options(act_layer, norm, **options))


class SqueezeExcitation(torchvision.ops.SqueezeExcitation):
    def __init__(self, input_channels, squeeze_channels, activation="ReLU", scale_activation="Sigmoid"):
        super().__init__(input_channels, squeeze_channels, activation_layer(activation)[0],
                         activation_layer(scale_activation)[0])


def EcaModule(**options):
    return timm.layers.EcaModule(**options)


def StdConv2d(in_channels, **options):
    return timm.layers.StdConv2d(in_channels, **options)


def ScaledStdConv2d(in_channels, **options):
    return timm.layers.ScaledStdConv2d(in_channels, **options)


def CbamModule(channels, act_layer="ReLU", gate_layer="sigmoid", **options):
    return TimmCbamModule(channels, act_layer=getattr(nn, act_layer), gate_layer=gate_layer, **options)


def smp_norm(name):
    return {"None": "identity", "BatchNorm2d": "batchnorm", "InstanceNorm2d": "instancenorm"}[name]


def PSPModule(in_channels, sizes, norm="BatchNorm2d"):
    return SmpPSPModule(in_channels, sizes, smp_norm(norm))


def SegmentationHead(in_channels, out_channels, kernel_size=3, activation="None", upsampling=1):
    layer = activation_layer(activation)[0]
    return smp.base.SegmentationHead(in_channels, out_channels, kernel_size, layer, upsampling)


class UnetDecoderBlock(nn.Module):
    """smp's on parts of one tensor: every second pixel of the first channels, and the others."""

    def __init__(self, in_channels, skip_channels, out_channels, norm="BatchNorm2d", **options):
        super().__init__()
        self.in_channels, self.skip_channels = in_channels, skip_channels
        self.block = SmpUnetDecoderBlock(in_channels, skip_channels, out_channels, smp_norm(norm), **options)

    def forward(self, x):
        skip = x[:, self.in_channels:] if self.skip_channels else None
        return self.block(x[:, :self.in_channels, ::2, ::2], x.shape[2], x.shape[3], skip)


class FeaturePyramidNetwork(nn.Module):
    """torchvision's on a tensor, every second pixel of it, and so on; its maps one after the other."""

    def __init__(self, in_channels_list, out_channels, norm="None", **options):
        super().__init__()
        self.in_channels_list = in_channels_list
        self.fpn = torchvision.ops.FeaturePyramidNetwork(in_channels_list, out_channels,
                                                         norm_layer=norm_layer(norm, **options))

    def forward(self, x):
        maps = {f"map{i}": x[:, :channels, ::2**i, ::2**i] for i, channels in enumerate(self.in_channels_list)}
        return torch.cat([y.flatten(1) for y in self.fpn(maps).values()], 1)


def resnet_block(block, inplanes, planes, stride=1, downsample=False, norm="BatchNorm2d", norm_groups=32, **options):
    layer = norm_layer(norm, groups=norm_groups)
    around = None
    if downsample:
        channels = planes * block.expansion
        around = nn.Sequential(resnet.conv1x1(inplanes, channels, stride), layer(channels))
    return block(inplanes, planes, stride, around, norm_layer=layer, **options)


BasicBlock = partial(resnet_block, resnet.BasicBlock)
Bottleneck = partial(resnet_block, resnet.Bottleneck)


def MobileNetV2InvertedResidual(norm="BatchNorm2d", **options):
    return mobilenetv2.InvertedResidual(norm_layer=norm_layer(norm), **options)


def MobileNetV3InvertedResidual(use_hs, **options):
    config = mobilenetv3.InvertedResidualConfig(activation="HS" if use_hs else "RE", width_mult=1.0, **options)
    return mobilenetv3.InvertedResidual(config, norm_layer("BatchNorm2d", eps=1e-3, momentum=0.01))


def MBConv(stochastic_depth_prob=0.0, norm="BatchNorm2d", **options):
    config = efficientnet.MBConvConfig(num_layers=1, **options)
    return efficientnet.MBConv(config, stochastic_depth_prob, norm_layer(norm))


def FusedMBConv(stochastic_depth_prob=0.0, norm="BatchNorm2d", **options):
    config = efficientnet.FusedMBConvConfig(num_layers=1, **options)
    return efficientnet.FusedMBConv(config, stochastic_depth_prob, norm_layer(norm))


def CNBlock(dim, layer_scale, stochastic_depth_prob):
    return convnext.CNBlock(dim, layer_scale, stochastic_depth_prob)


def BasicConv2d(**options):
    return inception.BasicConv2d(**options)


class DenseLayer(nn.Module):
    """torchvision's on one map in a list."""

    def __init__(self, **options):
        super().__init__()
        self.layer = densenet._DenseLayer(**options)

    def forward(self, x):
        return self.layer([x])


def ResBottleneckBlock(norm="BatchNorm2d", norm_groups=32, activation="ReLU", **options):
    return regnet.ResBottleneckBlock(norm_layer=norm_layer(norm, groups=norm_groups),
                                     activation_layer=activation_layer(activation)[0], **options)


class LRASPPHead(nn.Module):
    """torchvision's on parts of one tensor: the first channels, and every second pixel of the others."""

    def __init__(self, low_channels, **options):
        super().__init__()
        self.low_channels = low_channels
        self.head = TorchvisionLRASPPHead(low_channels, **options)

    def forward(self, x):
        return self.head({"low": x[:, :self.low_channels], "high": x[:, self.low_channels:, ::2, ::2]})


def VideoBasicBlock(inplanes, planes, kind, stride=1):
    builder = getattr(video_resnet, kind)
    around = None
    if stride != 1 or inplanes != planes:
        conv = nn.Conv3d(inplanes, planes, 1, builder.get_downsample_stride(stride), bias=False)
        around = nn.Sequential(conv, nn.BatchNorm3d(planes))
    return video_resnet.BasicBlock(inplanes, planes, builder, stride, around)


def of_s3d(block, **options):
    return block(norm_layer=partial(nn.BatchNorm3d, eps=0.001, momentum=0.001), **options)


TemporalSeparableConv = partial(of_s3d, TorchvisionTemporalSeparableConv)
SepInceptionBlock3D = partial(of_s3d, TorchvisionSepInceptionBlock3D)


def Upsample(size=None, scale_factor=None, **options):
    return nn.Upsample(size, tuple(scale_factor) if isinstance(scale_factor, list) else scale_factor, **options)


class MultiheadAttention(nn.Module):
    """torch.nn's on one tensor: as query, key and value, or with others made of it, and with masks; what it gives in
    one tensor. With `grad` there are gradients in eval mode too."""

    def __init__(self, given="self", mask=None, padding=None, grad=False, need_weights=True, average_attn_weights=True,
                 is_causal=False, **options):
        super().__init__()
        self.given, self.mask, self.padding, self.grad = given, mask, padding, grad
        self.flags = {"need_weights": need_weights, "average_attn_weights": average_attn_weights, "is_causal": is_causal}
        self.attn = nn.MultiheadAttention(**options)

    def masks(self, query, key):
        along = 1 if self.attn.batch_first and query.dim() == 3 else 0
        length, keys = query.shape[along], key.shape[along]
        batch = query.shape[1 - along] if query.dim() == 3 else 1
        masks = {}
        if self.mask is not None:
            later = torch.ones(length, keys, dtype=torch.bool).triu(1)
            masks["attn_mask"] = later if "bool" in self.mask else later.to(query.dtype) / -2
            if "3d" in self.mask:
                masks["attn_mask"] = masks["attn_mask"].expand(batch * self.attn.num_heads, -1, -1).contiguous()
        if self.padding is not None:
            last = torch.zeros(batch, keys, dtype=torch.bool)
            last[:, -1:] = True
            last = last if query.dim() == 3 else last[0]
            masks["key_padding_mask"] = last if self.padding == "bool" else last.to(query.dtype) / -3
        return masks

    def forward(self, x):
        key = value = x
        if self.given != "self":
            key = value = x[..., :self.attn.kdim] * 2
        if self.given == "three":
            value = x[..., :self.attn.vdim] + 1
        with torch.set_grad_enabled(torch.is_grad_enabled() or self.grad):
            y, weights = self.attn(x, key, value, **self.masks(x, key), **self.flags)
        return y.flatten() if weights is None else torch.cat([y.flatten(), weights.flatten()])


def weight_of(layer, kind, dim=None, power_iterations=1):
    """One of torch.nn's layers by its name, with a weight that is norm times direction, or of norm 1."""
    layer = LAYERS[layer]()
    utils = nn.utils if kind.startswith("old") else nn.utils.parametrizations
    if kind.endswith("weight_norm"):
        return utils.weight_norm(layer, dim={None: 0, "all": None}.get(dim, dim))
    return utils.spectral_norm(layer, n_power_iterations=power_iterations, dim=dim)


LAYERS = {
    "Conv1d": lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1),
    "Conv2d": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "Conv2d grouped": lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False),
    "Conv3d": lambda: nn.Conv3d(4, 6, (1, 2, 3)),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(4, 6, 2),
    "Linear": lambda: nn.Linear(4, 6),
}
WeightNorm = SpectralNorm = weight_of
