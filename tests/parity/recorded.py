"""What the tests of `convkit compare` record by record.py: the networks under convkit's names, and small modules."""

import torchvision_operators  # noqa: F401, isort: skip

from collections import OrderedDict

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torchvision.models import *  # noqa: F401, F403
from torchvision.models import segmentation


def unet(encoder):
    return smp.Unet(encoder, encoder_weights=None)


def lraspp_mobilenet_v3_large():
    return segmentation.lraspp_mobilenet_v3_large(weights_backbone=None)


def mobilenetv1_100():
    return timm.create_model("mobilenetv1_100")


def legacy_xception():
    return timm.create_model("legacy_xception")


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


class Merge(nn.Module):
    """Two inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32))

    def forward(self, x, context):
        return x + self.weight * context


class Heads(nn.Module):
    """Three outputs."""

    def __init__(self):
        super().__init__()
        self.probability = nn.Linear(32, 2)
        self.boxes = nn.Linear(32, 4)
        self.points = nn.Linear(32, 10)

    def forward(self, x):
        return self.probability(x).softmax(1), self.boxes(x), self.points(x)


class Faces(nn.Module):
    """Two inputs and three outputs, as a tuple or a dict: the shape of a detector's last stage."""

    def __init__(self, names=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.prelu1 = nn.PReLU(8)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.dense = nn.Linear(144, 32)
        self.merge = Merge()
        self.heads = Heads()
        self.names = names

    def forward(self, image, context):
        x = self.pool(self.prelu1(self.conv1(image)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.dense(x.permute(0, 3, 2, 1).flatten(1))
        outputs = self.heads(self.merge(x, context))
        return outputs if self.names is None else dict(zip(self.names, outputs))


class Trained(nn.Sequential):
    """A batch norm learns statistics, and a Dropout draws."""

    def __init__(self):
        super().__init__(OrderedDict(conv=nn.Conv2d(3, 8, 3), bn=nn.BatchNorm2d(8), relu=nn.ReLU(inplace=True),
                                     drop=nn.Dropout(0.25), head=nn.Conv2d(8, 4, 3)))
