"""What the tests of `convkit compare` record by record.py: the networks under convkit's names, and small modules."""

import torchvision_operators  # noqa: F401, isort: skip

from collections import OrderedDict

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torchvision.models import *  # noqa: F401, F403


def unet(encoder):
    return smp.Unet(encoder, encoder_weights=None)


class Shift(nn.Module):
    """Adds a buffer, which record.py --fresh gives other numbers: its name ends with "bias"."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("bias", torch.arange(float(channels)).view(1, -1, 1, 1))

    def forward(self, x):
        return x + self.bias


class Small(nn.Module):
    """A layer of each kind that a port can get wrong; the ReLU is called twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)
        self.mix = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.Hardswish(inplace=True))
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.shift = Shift(8)
        self.proj = nn.Linear(8, 8)
        self.unused = nn.Dropout()

    def forward(self, x):
        x = self.relu(self.bn(self.stem(x)))
        x = self.relu(self.mix(x))
        x = self.shift(self.up(x))
        return self.proj(x.mean((2, 3)))


class Dead(nn.Module):
    """Its outputs are all zero."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.conv.bias.fill_(-1000)

    def forward(self, x):
        return self.relu(self.conv(x))


class Several(nn.Module):
    """Two inputs, and a dict for an output."""

    def __init__(self):
        super().__init__()
        self.join = nn.Bilinear(4, 3, 2)
        self.last = nn.Linear(2, 2)

    def forward(self, x, y):
        joined = self.join(x, y)
        return OrderedDict(joined=joined, last=self.last(joined))
