"""The Python modules that convkit's are held to: the Q&A's, as it writes them, with the options that
convkit adds passed on to torch.nn."""

from torch import nn


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


class Upsampler(nn.Module):
    def __init__(self, in_channels, out_channels, scale_factor=2, bias=True):
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels,
                                       kernel_size=2 * scale_factor - scale_factor % 2,
                                       stride=scale_factor, padding=scale_factor // 2, bias=bias)

    def forward(self, x):
        return self.conv(x)
