"""A network as somebody has written it in Python, for convkit.port."""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    def __init__(self, channels, dilation=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.conv2(y))


class Segmenter(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([Residual(16), Residual(16, dilation=2), Residual(16, dilation=4)])
        self.head = nn.Conv2d(32, classes, 1)

    def forward(self, x):
        y = self.stem(x)
        for block in self.blocks:
            y = block(y)
        context = y.mean((2, 3), keepdim=True).expand_as(y)
        scores = self.head(torch.cat([y, context], 1))
        return F.interpolate(scores, size=x.shape[2:], mode="bilinear", align_corners=False)
