"""Modules as people write them, which the tests port, compile and compare; and modules that are refused."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    width: int = 8
    depth: int = 3
    drop: float = 0.1


class Configured(nn.Module):
    """A configuration object, a list of modules that a loop runs, and a shared module."""

    def __init__(self, depth=4):
        super().__init__()
        self.config = Config(depth=depth)
        self.stem = nn.Conv2d(3, self.config.width, 3, padding=1)
        self.blocks = nn.ModuleList([Residual(self.config.width, i % 2 == 1) for i in range(self.config.depth)])
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.act(x).mean((2, 3))


class Residual(nn.Module):
    def __init__(self, width, project):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.project = nn.Conv2d(width, width, 1) if project else None

    def forward(self, x):
        shortcut = x
        x = F.relu(self.norm(self.conv(x)))
        if self.project is not None:
            shortcut = self.project(shortcut)
        return x + shortcut


class Functional(nn.Module):
    """torch's functions, sizes, and what training decides."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5, padding=2), nn.Conv2d(6, 8, 3)
        self.fc = nn.Linear(8, classes)
        self.drop = 0.25

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.dropout(x, self.drop, self.training)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 3, stride=2, padding=1)
        x = F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1)
        return F.log_softmax(self.fc(x), dim=1)


class Named(nn.Module):
    """Children by getattr, and names that C++ has for something else."""

    def __init__(self):
        super().__init__()
        for i in range(3):
            setattr(self, f"conv{i}", nn.Conv2d(3, 3, 3, padding=1 + i, dilation=1 + i))
        self.register = nn.Conv2d(3, 4, 1)
        self.name = nn.GELU()

    def forward(self, forward):
        out = 0
        for i in range(3):
            out = out + getattr(self, f"conv{i}")(forward)
        return self.name(self.register(out / 3))


class Scaled:
    def scaled(self, x):
        return x * self.gamma.view(1, -1, 1, 1) + self.shift


class Mixed(Scaled, nn.Module):
    """A mixin, weights and buffers of its own, and a buffer that is in no state_dict."""

    def __init__(self, width=4):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 0.5))
        self.register_buffer("shift", torch.zeros(width, 1, 1))
        self.register_buffer("kernel", torch.tensor([0.25, 0.5, 0.25]), persistent=False)
        self.conv = nn.Conv2d(3, width, 1)

    def forward(self, x):
        x = self.scaled(self.conv(x))
        kernel = self.kernel.view(1, 1, 1, 3).expand(x.shape[1], 1, 1, 3)
        return F.conv2d(x, kernel, padding=(0, 1), groups=x.shape[1])


class Down(nn.Sequential):
    def __init__(self, a, b):
        super().__init__(nn.MaxPool2d(2), nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.SiLU(inplace=True))


class Up(nn.Module):
    def __init__(self, a, skip, b):
        super().__init__()
        self.conv = nn.Conv2d(a + skip, b, 3, padding=1)

    def forward(self, x, skip):
        x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return F.leaky_relu(self.conv(torch.cat([x, skip], dim=1)), 0.2)


class TinyUnet(nn.Module):
    """A child with two inputs, and images whose sizes meet again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.down1, self.down2 = Down(4, 8), Down(8, 16)
        self.up1, self.up2 = Up(16, 8, 8), Up(8, 4, 4)

    def forward(self, x):
        a = self.stem(x)
        b = self.down1(a)
        c = self.down2(b)
        y = self.up2(self.up1(c, b), a)
        return y


class Attention(nn.Module):
    """Tokens: permutations, several results of an operator, weights of three dimensions."""

    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.norm = nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)
        self.position = nn.Parameter(torch.zeros(1, 1, dim))
        self.embed = nn.Conv2d(3, dim, 4, stride=4)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.position
        B, N, C = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = (q * self.scale) @ k.transpose(-2, -1)
        attn = attn.softmax(dim=-1)
        y = (attn @ v).transpose(1, 2).reshape(B, N, C)
        return x + self.proj(y)


class Even(nn.Module):
    """Decisions on sizes, which the page checks; and what training alone does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        h, w = x.shape[2:]
        if h % 2 == 1 or w % 2 == 1:
            raise ValueError("odd")
        if h != w:
            x = F.pad(x, (0, h - w, 0, 0))
        y = self.conv(x)
        if self.training:
            y = y * 1.5
        a, b = torch.chunk(y, 2, dim=1)
        return a * torch.sigmoid(b)


class Dense(nn.Module):
    """A list that grows from child to child."""

    def __init__(self, growth=4, layers=3):
        super().__init__()
        self.layers = nn.ModuleList([DenseLayer(3 + i * growth, growth) for i in range(layers)])

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1)

    def forward(self, features):
        return torch.relu(self.conv(torch.cat(features, 1)))


class DropPath(nn.Module):
    """Random numbers of its own, and a tensor that forward makes."""

    def __init__(self, p=0.3):
        super().__init__()
        self.p = p
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        if self.p > 0 and self.training:
            keep = 1 - self.p
            mask = y.new_empty((y.shape[0], 1, 1, 1)).bernoulli_(keep)
            y = y * mask / keep
        ramp = torch.arange(x.shape[3], dtype=x.dtype, device=x.device) / 10
        return y + ramp + torch.zeros(1, 3, 1, 1)


class Layers(nn.Module):
    """One of each kind of the table."""

    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(3, 8, (3, 1), padding=(1, 0), padding_mode="reflect"),
                                   nn.Conv2d(8, 8, 3, padding="same", groups=4),
                                   nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, bias=False),
                                   nn.Conv2d(4, 4, 2, stride=2))
        self.norms = nn.Sequential(nn.GroupNorm(2, 4, eps=1e-3), nn.InstanceNorm2d(4, affine=True),
                                   nn.BatchNorm2d(4, momentum=None), nn.BatchNorm2d(4, affine=False, eps=1e-4))
        self.acts = nn.Sequential(nn.LeakyReLU(0.2, inplace=True), nn.ELU(0.5), nn.SELU(), nn.CELU(1.5), nn.GELU("tanh"),
                                  nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.Softplus(2), nn.PReLU(),
                                  nn.Hardtanh(-2, 2), nn.ReLU6(), nn.Tanh(), nn.Sigmoid())
        self.pools = nn.Sequential(nn.ReflectionPad2d((1, 2, 0, 1)), nn.ZeroPad2d(1),
                                   nn.MaxPool2d(3, 1, 1, ceil_mode=True),
                                   nn.AvgPool2d(2, count_include_pad=False), nn.PixelShuffle(2), nn.Dropout2d(0.2),
                                   nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(12, 6, bias=False), nn.Identity())

    def forward(self, x):
        return self.head(self.pools(self.acts(self.norms(self.convs(x)))))


class Operators(nn.Module):
    """Operators, each with a gradient."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        y = (x - 1) * 2 / 3 + self.scale
        y = 1 - y + 1 / (y * y + 2)
        y = y.clamp(-1, 1) + y.abs().sqrt() - y.pow(2) ** 1.5
        y += x.exp().log1p()
        y = y + (x - y) * (x / 3)
        y[:, 0] = 0
        y = torch.where(y > 0, y, -y) + x[:, :1] + x[..., ::2, :].mean() + y.amax(dim=(2, 3), keepdim=True)
        z = torch.stack([y, x], 1).sum(1).flip(3).roll(1, 2)
        z = torch.matmul(z, z.transpose(2, 3)).unsqueeze(1).squeeze(1)
        z = z.masked_fill(z < -5, 0.5) + torch.einsum("bchw,bcwk->bchk", z, z) / z.shape[-1]
        first, second = z.split([1, 2], 1)
        value, _ = second.max(1, keepdim=True)
        z = first * value
        return F.normalize(z[:, :, :2 * (x.shape[2] // 3) - (x.shape[2] - 5)], dim=2)


class RelativeBias(nn.Module):
    """A table that the constructor computes, partly in place; nobody calls its forward."""

    def __init__(self, size):
        super().__init__()
        self.area = size * size
        self.bias = nn.Parameter(torch.randn((2 * size - 1) ** 2))
        self.register_buffer("index", torch.empty(self.area, self.area, dtype=torch.long), persistent=False)
        rows = torch.arange(size)
        places = torch.stack(torch.meshgrid(rows, rows, indexing="ij")).flatten(1)
        offsets = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0).contiguous()
        offsets += size - 1
        offsets[:, :, 0] *= 2 * size - 1
        self.index.copy_(offsets.sum(-1))

    def between(self):
        return self.bias[self.index.view(-1)].view(self.area, self.area)


class Windows(nn.Module):
    """Windows of two sizes, images that are padded to fit a stride, and what no gradient flows through."""

    def __init__(self):
        super().__init__()
        self.near, self.far = RelativeBias(2), RelativeBias(4)
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x):
        height, width = x.shape[-2:]
        down = max((math.ceil(height / 2) - 1) * 2 + 3 - height, 0)
        right = max((math.ceil(width / 2) - 1) * 2 + 3 - width, 0)
        x = self.conv(F.pad(x, [right // 2, right - right // 2, down // 2, down - down // 2]))
        with torch.no_grad():
            scale = x.norm(p=2, dim=(2, 3), keepdim=True) + torch.var(x, dim=1, keepdim=True)
        x = F.unfold(x / scale, kernel_size=2, stride=2).transpose(1, 2)
        B, N, C = x.shape
        near = x.reshape(B, N, C // 4, 4) @ self.near.between()
        return near.reshape(B, N, C // 16, 16) @ self.far.between()


class Teacher(nn.Module):
    """Children that are called in a no_grad, of which one is called outside as well."""

    def __init__(self):
        super().__init__()
        self.first, self.then = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())

    def forward(self, x):
        y = self.first(x)
        with torch.no_grad():  # in another order in memory, which computes otherwise
            target = self.then(self.first(x.to(memory_format=torch.channels_last)).contiguous())
        return (y[:, :, 1:-1, 1:-1] - target) ** 2


CASES = [
    ("Teacher", ["2,3,8,8"]),
    ("Windows", ["2,3,16,16"]), ("Configured", ["2,3,16,16"]), ("Functional", ["2,3,16,16"]), ("Named", ["1,3,9,8"]), ("Mixed", ["2,3,8,8"]),
    ("TinyUnet", ["2,3,18,22"]), ("Attention", ["2,3,16,16"]), ("Even", ["2,3,12,12"]), ("Dense", ["2,3,8,8"]),
    ("DropPath", ["2,3,8,8"]), ("Layers", ["2,3,16,16"]), ("Operators", ["2,3,8,8"]),
]


class OnData(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Item(nn.Module):
    def forward(self, x):
        return x * x.max().item()


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.zeros(1)

    def forward(self, x):
        self.last = x + self.last
        return self.last


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 3


class OwnGradient(nn.Module):
    def forward(self, x):
        return Twice.apply(x)


class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.conv.register_forward_hook(lambda module, args, output: output * 2)

    def forward(self, x):
        return self.conv(x)


class Unrolled(nn.Module):
    def forward(self, x):
        y = x
        for i in range(x.shape[0]):
            y = y + i
        return y


class StaysInEval(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x):
        return self.norm(x)


class Overwrites(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        return self.act(x)


def wrapped():
    return nn.DataParallel(nn.Conv2d(3, 3, 1))


REFUSED = [
    ("wrapped", ["2,3,8,8"], "a wrapper: port its .module"),
    ("StaysInEval", ["2,3,8,8"], "it stays in eval mode"),
    ("Overwrites", ["2,3,8,8"], "an in-place nn::SiLU of an argument of forward"),
    ("OnData", ["2,3,8,8"], f"small.OnData (small.py, line {OnData.forward.__code__.co_firstlineno + 1}): bool() of a tensor: "
                            "what follows depends on data"),
    ("Item", ["2,3,8,8"], "item() of a tensor"),
    ("Remembers", ["2,3,8,8"], "its tensor 'last', which forward changes"),
    ("OwnGradient", ["2,3,8,8"], "the autograd function Twice"),
    ("Hooked", ["2,3,8,8"], "forward hooks"),
    ("Unrolled", ["2,3,8,8"], "a number or a loop follows from sizes"),
]
