"""Networks whose Python source is no package that the tests can install, written anew with their names, layers and
first weights:

Generator and Discriminator of PyTorch's example of a DCGAN, https://github.com/pytorch/examples/blob/main/dcgan/main.py
(BSD 3-Clause), a script that trains at once.

EdsrModel of super-image 0.2.0, https://github.com/eugenesiow/super-image (Apache 2.0), which imports much else.
edsr_is_theirs.py compares it with the package's.
"""

import torch
from torch import nn


def start(network):
    """The example's first weights, drawn in the order of the layers."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
    return network


class Generator(nn.Module):
    def __init__(self, nz=100, ngf=64, nc=3):
        super().__init__()
        widths = [nz, 8 * ngf, 4 * ngf, 2 * ngf, ngf, nc]
        layers = []
        for i, (given, made) in enumerate(zip(widths, widths[1:])):
            stride, padding = (1, 0) if i == 0 else (2, 1)
            layers.append(nn.ConvTranspose2d(given, made, 4, stride, padding, bias=False))
            layers += [nn.Tanh()] if i == 4 else [nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
        self.main = nn.Sequential(*layers)
        start(self)

    def forward(self, noise):
        return self.main(noise)


class Discriminator(nn.Module):
    def __init__(self, nc=3, ndf=64):
        super().__init__()
        widths = [nc, ndf, 2 * ndf, 4 * ndf, 8 * ndf]
        layers = []
        for i, (given, made) in enumerate(zip(widths, widths[1:])):
            layers.append(nn.Conv2d(given, made, 4, 2, 1, bias=False))
            if i > 0:
                layers.append(nn.BatchNorm2d(made))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.main = nn.Sequential(*layers, nn.Conv2d(8 * ndf, 1, 4, 1, 0, bias=False), nn.Sigmoid())
        start(self)

    def forward(self, image):
        return self.main(image).view(-1, 1).squeeze(1)


def conv3x3(in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


class ResBlock(nn.Module):
    def __init__(self, n_feats, res_scale):
        super().__init__()
        self.body = nn.Sequential(conv3x3(n_feats, n_feats), nn.ReLU(inplace=True), conv3x3(n_feats, n_feats))
        self.res_scale = res_scale

    def forward(self, x):
        return x + self.body(x) * self.res_scale


def mean_shift(sign, rgb_range, rgb_mean, rgb_std):
    """A 1x1 convolution whose first weights are drawn and then set."""
    shift = nn.Conv2d(3, 3, 1)
    std = torch.tensor(rgb_std)
    with torch.no_grad():
        shift.weight.copy_(torch.eye(3).view(3, 3, 1, 1) / std.view(3, 1, 1, 1))
        shift.bias.copy_(sign * rgb_range * torch.tensor(rgb_mean) / std)
    return shift


class EdsrModel(nn.Module):
    def __init__(self, scale, n_resblocks=16, n_feats=64, n_colors=3, rgb_range=255, rgb_mean=(0.4488, 0.4371, 0.4040),
                 rgb_std=(1.0, 1.0, 1.0), no_upsampling=False, res_scale=1):
        super().__init__()
        self.sub_mean = mean_shift(-1, rgb_range, rgb_mean, rgb_std)  # neither is called
        self.add_mean = mean_shift(1, rgb_range, rgb_mean, rgb_std)
        self.head = nn.Sequential(conv3x3(n_colors, n_feats))
        blocks = [ResBlock(n_feats, res_scale) for _ in range(n_resblocks)]
        self.body = nn.Sequential(*blocks, conv3x3(n_feats, n_feats))
        self.tail = None
        if not no_upsampling:
            factors = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
            upsampler = [layer for factor in factors
                         for layer in (conv3x3(n_feats, factor**2 * n_feats), nn.PixelShuffle(factor))]
            self.tail = nn.Sequential(nn.Sequential(*upsampler), conv3x3(n_feats, n_colors))

    def forward(self, x):
        x = self.head(x)
        x = x + self.body(x)
        return x if self.tail is None else self.tail(x)
