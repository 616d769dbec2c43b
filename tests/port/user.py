"""Small networks in the styles that people write theirs in, which the tests port, compile and compare; and what is
refused of them. small.py has what the generator can say one by one; here it is mixed, as in programs."""

import functools
import math
from collections import OrderedDict
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


# A ResNet, as many have written it after torchvision's.


def conv3x3(in_planes, planes, stride=1):
    return nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(self.expansion * planes))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        out = F.relu(out)
        return out


class CifarResNet(nn.Module):
    """The ResNet of many notebooks: an empty Sequential as shortcut, layers made by a method that counts."""

    def __init__(self, num_blocks=(2, 2, 1), num_classes=10):
        super().__init__()
        self.in_planes = 8
        self.conv1 = conv3x3(3, 8)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = self._make_layer(8, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(16, num_blocks[1], stride=2)
        self.layer3 = self._make_layer(32, num_blocks[2], stride=2)
        self.linear = nn.Linear(32, num_classes)

    def _make_layer(self, planes, num_blocks, stride):
        layers = []
        for stride in [stride] + [1] * (num_blocks - 1):
            layers.append(BasicBlock(self.in_planes, planes, stride))
            self.in_planes = planes
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer1(out)
        out = self.layer2(out)
        out = self.layer3(out)
        out = F.avg_pool2d(out, 4)
        out = out.mean(dim=[2, 3])
        out = out.view(out.size(0), -1)
        return self.linear(out)


# U-Nets: with classes for each step, and with lists.


class DoubleConv(nn.Module):
    """(convolution => BN => ReLU) * 2"""

    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True))

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        x = torch.cat([x2, x1], dim=1)
        return self.conv(x)


class OutConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super(OutConv, self).__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x):
        return self.conv(x)


class ClassicUNet(nn.Module):
    """The U-Net of the well-known repository, padded where sizes do not meet."""

    def __init__(self, n_channels=3, n_classes=2):
        super().__init__()
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.inc = DoubleConv(n_channels, 4)
        self.down1 = Down(4, 8)
        self.down2 = Down(8, 16)
        self.up1 = Up(16, 8)
        self.up2 = Up(8, 4)
        self.outc = OutConv(4, n_classes)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x = self.up1(x3, x2)
        x = self.up2(x, x1)
        logits = self.outc(x)
        return logits


class ListUNet(nn.Module):
    """A U-Net of lists: skips that a loop appends and then takes from the end."""

    def __init__(self, in_channels=3, out_channels=1, features=(4, 8, 16)):
        super().__init__()
        self.ups = nn.ModuleList()
        self.downs = nn.ModuleList()
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        for feature in features:
            self.downs.append(DoubleConv(in_channels, feature))
            in_channels = feature
        for feature in reversed(features):
            self.ups.append(nn.ConvTranspose2d(feature * 2, feature, kernel_size=2, stride=2))
            self.ups.append(DoubleConv(feature * 2, feature))
        self.bottleneck = DoubleConv(features[-1], features[-1] * 2)
        self.final_conv = nn.Conv2d(features[0], out_channels, kernel_size=1)

    def forward(self, x):
        skip_connections = []
        for down in self.downs:
            x = down(x)
            skip_connections.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        skip_connections = skip_connections[::-1]
        for idx in range(0, len(self.ups), 2):
            x = self.ups[idx](x)
            skip_connection = skip_connections[idx // 2]
            if x.shape != skip_connection.shape:
                x = F.interpolate(x, size=skip_connection.shape[2:])
            concat_skip = torch.cat((skip_connection, x), dim=1)
            x = self.ups[idx + 1](concat_skip)
        return self.final_conv(x)


# GANs, and an autoencoder.


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    """DCGAN's, of a vector of noise, with weights that apply() draws."""

    def __init__(self, nz=16, ngf=8, nc=3):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 4, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 4), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf), nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())
        self.apply(weights_init)

    def forward(self, z):
        return self.main(z.view(z.shape[0], -1, 1, 1))


class Discriminator(nn.Module):
    """Its layers come from a closure, and its last step has no name."""

    def __init__(self, channels=3, width=8, depth=3):
        super().__init__()

        def block(in_filters, out_filters, bn=True):
            layers = [nn.Conv2d(in_filters, out_filters, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout2d(0.25)]
            if bn:
                layers.append(nn.BatchNorm2d(out_filters, 0.8))
            return layers

        layers = block(channels, width, bn=False)
        for i in range(depth):
            layers += block(width * 2**i, width * 2**(i + 1))
        self.model = nn.Sequential(*layers)
        self.adv_layer = nn.Sequential(nn.Linear(width * 2**depth, 1), nn.Sigmoid())

    def forward(self, img):
        out = self.model(img)
        return self.adv_layer(out.mean(-1).mean(-1)).squeeze(1)


class VAE(nn.Module):
    """forward calls other methods of the module, chunks its moments, and draws noise."""

    def __init__(self, latent=4):
        super().__init__()
        self.encoder = nn.Sequential(OrderedDict([
            ("conv1", nn.Conv2d(3, 8, 4, 2, 1)), ("act1", nn.SiLU()),
            ("conv2", nn.Conv2d(8, 2 * latent, 4, 2, 1))]))
        self.decoder = nn.Sequential(nn.ConvTranspose2d(latent, 8, 4, 2, 1), nn.ReLU(),
                                     nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Sigmoid())

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, torch.clamp(logvar, -30.0, 20.0)

    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


# Sound, and images that become larger.


class WaveBlock(nn.Module):
    def __init__(self, residual, skip, dilation):
        super().__init__()
        self.dilation = dilation
        self.filter_gate = nn.Conv1d(residual, 2 * residual, 2, dilation=dilation)
        self.res = nn.Conv1d(residual, residual, 1)
        self.skip = nn.Conv1d(residual, skip, 1)

    def forward(self, x):
        y = self.filter_gate(F.pad(x, (self.dilation, 0)))
        a, b = torch.split(y, x.shape[1], dim=1)
        y = torch.tanh(a) * torch.sigmoid(b)
        return (x + self.res(y)) * math.sqrt(0.5), self.skip(y)


class WaveNet(nn.Module):
    """Two results of each block of a stack, one of which a loop adds up."""

    def __init__(self, layers=3, stacks=2):
        super().__init__()
        self.first = nn.Conv1d(1, 8, 1)
        self.blocks = nn.ModuleList([WaveBlock(8, 6, 2**i) for _ in range(stacks) for i in range(layers)])
        self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(6, 6, 1), nn.ReLU(), nn.Conv1d(6, 4, 1))

    def forward(self, x):
        x = self.first(x)
        skips = 0
        for block in self.blocks:
            x, skip = block(x)
            skips = skips + skip
        return self.last(skips * math.sqrt(1.0 / len(self.blocks)))


class ESPCN(nn.Module):
    """Super-resolution, by sub-pixels; what it clamps is its result."""

    def __init__(self, upscale_factor=2, channels=8):
        super().__init__()
        hidden = channels // 2
        self.feature_maps = nn.Sequential(nn.Conv2d(1, channels, (5, 5), (1, 1), (2, 2)), nn.Tanh(),
                                          nn.Conv2d(channels, hidden, (3, 3), (1, 1), (1, 1)), nn.Tanh())
        self.sub_pixel = nn.Sequential(nn.Conv2d(hidden, upscale_factor**2, (3, 3), (1, 1), (1, 1)),
                                       nn.PixelShuffle(upscale_factor))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight.data, 0.0, 0.1)
                nn.init.zeros_(module.bias.data)

    def forward(self, x):
        return self._forward_impl(x)

    def _forward_impl(self, x):
        x = self.feature_maps(x)
        x = self.sub_pixel(x)
        x = torch.clamp_(x, 0.0, 1.0)
        return x


# Blocks of the last years, by hand.


class LayerNorm(nn.Module):
    """Over the channels, which are last or first."""

    def __init__(self, normalized_shape, eps=1e-6, data_format="channels_last"):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))
        self.eps = eps
        self.data_format = data_format
        if self.data_format not in ["channels_last", "channels_first"]:
            raise NotImplementedError
        self.normalized_shape = (normalized_shape,)

    def forward(self, x):
        if self.data_format == "channels_last":
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        x = self.weight[:, None, None] * x + self.bias[:, None, None]
        return x


class DropPath(nn.Module):
    def __init__(self, drop_prob=None):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1 - self.drop_prob
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        random_tensor = keep_prob + torch.rand(shape, dtype=x.dtype, device=x.device)
        random_tensor.floor_()
        return x.div(keep_prob) * random_tensor


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim, drop_path=0.0, layer_scale_init_value=1e-6):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(layer_scale_init_value * torch.ones((dim)),
                                  requires_grad=True) if layer_scale_init_value > 0 else None
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()

    def forward(self, x):
        input = x
        x = self.dwconv(x)
        x = x.permute(0, 2, 3, 1)
        x = self.norm(x)
        x = self.pwconv1(x)
        x = self.act(x)
        x = self.pwconv2(x)
        if self.gamma is not None:
            x = self.gamma * x
        x = x.permute(0, 3, 1, 2)
        x = input + self.drop_path(x)
        return x


class ConvNeXt(nn.Module):
    """As its authors wrote it: lists of stages, drop rates of a linspace, and a module that is not called."""

    def __init__(self, in_chans=3, num_classes=5, depths=(1, 2), dims=(8, 16), drop_path_rate=0.2):
        super().__init__()
        self.downsample_layers = nn.ModuleList()
        stem = nn.Sequential(nn.Conv2d(in_chans, dims[0], kernel_size=4, stride=4),
                             LayerNorm(dims[0], eps=1e-6, data_format="channels_first"))
        self.downsample_layers.append(stem)
        for i in range(len(dims) - 1):
            self.downsample_layers.append(nn.Sequential(
                LayerNorm(dims[i], eps=1e-6, data_format="channels_first"),
                nn.Conv2d(dims[i], dims[i + 1], kernel_size=2, stride=2)))
        self.stages = nn.ModuleList()
        dp_rates = [x.item() for x in torch.linspace(0, drop_path_rate, sum(depths))]
        cur = 0
        for i in range(len(dims)):
            self.stages.append(nn.Sequential(
                *[ConvNeXtBlock(dim=dims[i], drop_path=dp_rates[cur + j]) for j in range(depths[i])]))
            cur += depths[i]
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], num_classes)
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(m.weight, std=0.02)
            nn.init.constant_(m.bias, 0)

    def forward_features(self, x):
        for i in range(len(self.stages)):
            x = self.downsample_layers[i](x)
            x = self.stages[i](x)
        return self.norm(x.mean([-2, -1]))

    def forward(self, x):
        x = self.forward_features(x)
        x = self.head(x)
        return x


class EinsumAttention(nn.Module):
    """Heads by einsum over the pixels, with a learned temperature and a static helper."""

    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Conv2d(dim, dim * 3, 1, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.to_out = nn.Conv2d(dim, dim, 1)

    @staticmethod
    def split_heads(t, heads):
        b, c, h, w = t.shape
        return t.reshape(b, heads, c // heads, h * w)

    def forward(self, x):
        b, c, h, w = x.shape
        qkv = self.to_qkv(x).chunk(3, dim=1)
        q, k, v = map(lambda t: self.split_heads(t, self.heads), qkv)
        sim = torch.einsum("b h d i, b h d j -> b h i j", q * (c // self.heads)**-0.5, k) * self.temperature
        sim = sim - sim.amax(dim=-1, keepdim=True).detach()
        attn = sim.softmax(dim=-1)
        out = torch.einsum("b h i j, b h d j -> b h d i", attn, v)
        return self.to_out(out.reshape(b, c, h, w)) + x


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.attention = EinsumAttention()

    def forward(self, x):
        return self.attention(self.stem(x))


# Configurations, keyword arguments, mixins and properties.


@dataclass
class StageConfig:
    out_channels: int
    num_blocks: int = 1
    stride: int = 1
    se: bool = False


@dataclass
class NetConfig:
    stem: int = 8
    stages: list = field(default_factory=lambda: [StageConfig(8), StageConfig(16, 2, 2, True), StageConfig(16, 3, 1, True)])
    act: str = "silu"


ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "leaky": functools.partial(nn.LeakyReLU, 0.1)}


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=4):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x):
        scale = x.mean(dim=(2, 3))
        scale = torch.sigmoid(self.fc2(F.relu(self.fc1(scale))))
        return x * scale[:, :, None, None]


class ConvBnAct(nn.Sequential):
    def __init__(self, in_channels, out_channels, kernel_size=3, act="silu", **kwargs):
        kwargs.setdefault("padding", kernel_size // 2)
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, **kwargs),
                         nn.BatchNorm2d(out_channels), ACTIVATIONS[act]())


class InvertedResidual(nn.Module):
    def __init__(self, in_channels, out_channels, stride, se, act, expand=2):
        super().__init__()
        hidden = in_channels * expand
        self.use_res = stride == 1 and in_channels == out_channels
        self.expand = ConvBnAct(in_channels, hidden, 1, act)
        self.depthwise = ConvBnAct(hidden, hidden, 3, act, stride=stride, groups=hidden)
        self.se = SqueezeExcite(hidden) if se else nn.Identity()
        self.project = nn.Sequential(nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x):
        out = self.project(self.se(self.depthwise(self.expand(x))))
        return x + out if self.use_res else out


class ConfiguredNet(nn.Module):
    """A tree of dataclasses, **kwargs that go on to the children, and a table of activations."""

    def __init__(self, config=None, **overrides):
        super().__init__()
        self.config = config or NetConfig(**overrides)
        self.stem = ConvBnAct(3, self.config.stem, 3, self.config.act, stride=2)
        channels, blocks = self.config.stem, []
        for stage in self.config.stages:
            for i in range(stage.num_blocks):
                blocks.append(InvertedResidual(channels, stage.out_channels, stage.stride if i == 0 else 1, stage.se,
                                               self.config.act))
                channels = stage.out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 4)

    @property
    def num_blocks(self):
        return len(self.blocks)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.head(x.mean([2, 3])) / self.num_blocks


class Normalizes:
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def register_statistics(self):
        self.register_buffer("pixel_mean", torch.tensor(self.mean).view(-1, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(self.std).view(-1, 1, 1), False)

    def preprocess(self, x):
        return (x - self.pixel_mean) / self.pixel_std


class BaseNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
        self.backbone = self.build_backbone()

    def build_backbone(self):
        raise NotImplementedError

    def forward(self, x):
        x = self.preprocess(x)
        x = self.backbone(x)
        return self.postprocess(x)

    def postprocess(self, x):
        return x


class Inherited(Normalizes, BaseNet):
    """Methods of a base class and of a mixin, that are overridden."""

    def __init__(self, width=6):
        super().__init__(width)
        self.register_statistics()
        self.final = nn.Conv2d(width, 2, 1)

    def build_backbone(self):
        return nn.Sequential(nn.Sequential(nn.Conv2d(3, self.width, 3, padding=1), nn.ReLU6()),
                             nn.Sequential(nn.Sequential(nn.Conv2d(self.width, self.width, 3), nn.GroupNorm(2, self.width)),
                                           nn.ELU()))

    def postprocess(self, x):
        return torch.softmax(super().postprocess(self.final(x)), dim=1)


class ShuffleUnit(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.groups = groups
        self.conv1 = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)

    def shuffle(self, x):
        batch, channels, height, width = x.data.size()
        x = x.view(batch, self.groups, channels // self.groups, height, width)
        x = torch.transpose(x, 1, 2).contiguous()
        return x.view(batch, -1, height, width)

    def forward(self, x):
        residual = x
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.shuffle(x)
        x = self.conv2(self.depthwise(x))
        return F.relu(x + residual, inplace=True)


class ShuffleNet(nn.Module):
    """Grouped convolutions and a shuffle, in children with names that a loop makes."""

    def __init__(self, repeats=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.features = nn.Sequential()
        for i in range(repeats):
            self.features.add_module(f"unit{i + 1}", ShuffleUnit(8, 2 if i % 2 == 0 else 4))
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        x = self.features(self.stem(x))
        x = F.adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], -1)
        return self.classifier(x)


# State in buffers, branches by training, and lambdas.


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Lambdas(nn.Module):
    """Functions as children."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Lambda(lambda x: x * torch.sigmoid(1.702 * x)),
                                 nn.Conv2d(8, 4, 3, padding=1), Lambda(lambda x: F.avg_pool2d(x, 2)),
                                 Lambda(lambda x: x.flatten(2).mean(-1)))

    def forward(self, x):
        return self.net(x)


class RunningCenter(nn.Module):
    """Buffers that training updates: a running mean, and a number of calls."""

    def __init__(self, channels=4, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.conv = nn.Conv2d(3, channels, 3)
        self.register_buffer("running", torch.zeros(1, channels, 1, 1))
        self.register_buffer("calls", torch.tensor(0, dtype=torch.long))

    def forward(self, x):
        x = self.conv(x)
        if self.training:
            mean = x.detach().mean(dim=(0, 2, 3), keepdim=True)
            self.running.mul_(1 - self.momentum).add_(mean, alpha=self.momentum)
            self.calls += 1
            return x - mean
        return x - self.running


class DeepSupervision(nn.Module):
    """zip and enumerate over lists; what training gives is another value, of the same kind."""

    def __init__(self, width=4):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3 if i == 0 else width, width, 3, padding=1) for i in range(3)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(width) for _ in range(3)])
        self.heads = nn.ModuleList(nn.ModuleList([nn.Conv2d(width, 1, 1), nn.Conv2d(width, 1, 3, padding=1)])
                                   for _ in range(3))
        self.weights = [1.0, 0.5, 0.25]

    def forward(self, x):
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.norms)):
            x = torch.relu(norm(stage(x)))
            if i > 0:
                x = x + i
            outs.append(x)
        maps = [w * (a(o) + b(o)) for w, o, (a, b) in zip(self.weights, outs, self.heads)]
        if self.training:
            return sum(maps)
        return maps[-1]


class Pyramid(nn.Module):
    """A feature pyramid, from the top down, with several results."""

    def __init__(self, widths=(4, 8, 16), out=4):
        super().__init__()
        self.stages = nn.ModuleList()
        for i, width in enumerate(widths):
            self.stages.append(nn.Sequential(nn.Conv2d(3 if i == 0 else widths[i - 1], width, 3, 2, 1), nn.ReLU()))
        self.lateral = nn.ModuleList([nn.Conv2d(width, out, 1) for width in widths])
        self.smooth = nn.ModuleList([nn.Conv2d(out, out, 3, padding=1) for _ in widths])

    def _upsample_add(self, x, y):
        _, _, H, W = y.size()
        return F.interpolate(x, size=(H, W), mode="nearest") + y

    def forward(self, x):
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        laterals = [conv(f) for conv, f in zip(self.lateral, features)]
        for i in range(len(laterals) - 1, 0, -1):
            laterals[i - 1] = self._upsample_add(laterals[i], laterals[i - 1])
        return tuple(conv(p) for conv, p in zip(self.smooth, laterals))


class Coordinates(nn.Module):
    """Tensors that forward makes: a grid of coordinates, and a position code of sines."""

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3 + 2, width, 3, padding=1)
        self.width = width

    def forward(self, x):
        b, _, h, w = x.shape
        ys = torch.linspace(-1, 1, h, device=x.device)
        xs = torch.linspace(-1, 1, w, device=x.device)
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        grid = torch.stack([grid_x, grid_y]).unsqueeze(0).repeat(b, 1, 1, 1)
        x = self.conv(torch.cat([x, grid], dim=1))
        half = self.width // 2
        frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
        position = torch.arange(w).float()[:, None] * frequencies[None, :]
        code = torch.cat([position.sin(), position.cos()], dim=-1)
        return x + code.t()[None, :, None, :]


class Recursive(nn.Module):
    """A module that contains its own kind, one block that runs several times, and getattr of children by name."""

    def __init__(self, depth=2, width=4):
        super().__init__()
        self.depth = depth
        self.inner = Recursive(depth - 1, width) if depth > 0 else None
        for side in ("left", "right"):
            setattr(self, f"{side}_conv", nn.Conv2d(width, width, 3, padding=1))
        self.stem = nn.Conv2d(3, width, 1) if depth == 2 else None

    def forward(self, x):
        if self.stem is not None:
            x = self.stem(x)
        left, right = (getattr(self, f"{side}_conv")(x) for side in ("left", "right"))
        y = left * torch.sigmoid(right)
        if self.inner is not None:
            y = y + self.inner(y)
        return y


class Repeats(nn.Module):
    """One block that runs several times, and a list of lists of modules."""

    def __init__(self, steps=3):
        super().__init__()
        self.steps = steps
        self.embed = nn.Conv2d(3, 4, 3, padding=1)
        self.cell = nn.Conv2d(4, 4, 3, padding=1)
        self.grid = nn.ModuleList([nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(2)]) for _ in range(2)])

    def forward(self, x):
        h = self.embed(x)
        for _ in range(self.steps):
            h = h + torch.tanh(self.cell(h))
        for row in self.grid:
            h = sum(conv(h) for conv in row) / len(row)
        return h


class Overwriting(nn.Module):
    """Functions in place, of what LibTorch's do not take: temporaries, arguments, and parts of lists."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        y = F.leaky_relu(self.conv(x), 0.1, inplace=True)
        a, b = y.chunk(2, 1)
        z = F.silu(torch.cat([a, b], 1) + 1, inplace=True)
        c, d = z.split(2, 1)
        c = F.hardswish(c + d, inplace=True) + F.dropout(d * 2, 0.5, self.training, inplace=True)
        if self.training:
            self.seen.mul_(0.5).add_(c.detach().mean())
        return F.relu(c + 1, inplace=True) + F.elu(d * 1, inplace=True)


@functools.lru_cache(None)
def halves(height, width):
    return height // 2, width // 2


class Crop(nn.Module):
    """A function of sizes that remembers what it gave, and a table of numbers that is no buffer."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, x):
        height, width = halves(x.shape[2], x.shape[3])
        return x[:, :, :height, :width] * self.weights.to(x)[:, None, None]


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Crop([0.5, 0.25, 2.0]), Crop([1.0, 3.0, 0.1])
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        y = self.second(self.first(self.conv(x)))
        mean = torch.tensor([0.1, 0.2, 0.3], device=x.device).view(1, 3, 1, 1)
        std, center = torch.std_mean(y, dim=(2, 3), keepdim=True)
        return ((y - mean - center) / (std + 1e-3)).double().float()


CASES = [
    ("CifarResNet", ["2,3,32,32"]), ("ClassicUNet", ["2,3,18,22"]), ("ListUNet", ["2,3,16,24"]),
    ("Generator", ["2,16"]), ("Discriminator", ["2,3,32,32"]), ("VAE", ["2,3,16,16"]), ("WaveNet", ["2,1,40"]),
    ("ESPCN", ["2,1,10,12"]), ("ConvNeXt", ["2,3,32,32"]), ("Attentive", ["2,3,12,10"]),
    ("ConfiguredNet", ["2,3,16,16"]), ("Inherited", ["2,3,10,8"]), ("ShuffleNet", ["2,3,16,16"]),
    ("Lambdas", ["2,3,8,8"]), ("RunningCenter", ["2,3,8,8"]), ("DeepSupervision", ["2,3,8,8"]),
    ("Pyramid", ["2,3,24,20"]), ("Coordinates", ["2,3,8,10"]), ("Recursive", ["2,3,8,8"]), ("Repeats", ["2,3,8,8"]),
    ("Overwriting", ["2,3,8,8"]), ("Remembering", ["2,3,12,20"]),
]


class Inner(nn.Module):
    """Calls a function, in which a refusal has its line."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Outer(nn.Module):
    function = None

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.blocks = nn.ModuleList([nn.Sequential(Inner(type(self).function))])

    def forward(self, x):
        return self.blocks[0](self.stem(x))


class Loops(Outer):
    @staticmethod
    def function(x):
        while x.abs().max() > 0.1:
            x = x * 0.5
        return x


class ThroughNumpy(Outer):
    @staticmethod
    def function(x):
        return torch.from_numpy(x.detach().numpy() * 2)


class Thresholds(Outer):
    @staticmethod
    def function(x):
        return x * float(x.detach().std())


class Rows(Outer):
    @staticmethod
    def function(x):
        return torch.stack([row * 2 for row in x])


class MakesLayers(Outer):
    @staticmethod
    def function(x):
        return nn.Conv2d(3, 3, 1)(x)


class Hidden(nn.Module):
    """A state that one call leaves for the next."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Conv2d(6, 3, 1)
        self.state = None

    def forward(self, x):
        state = torch.zeros_like(x) if self.state is None else self.state
        self.state = torch.tanh(self.cell(torch.cat([x, state], 1)))
        return self.state


def at(kind, line, what):
    """What a refusal says: class, path, file and line, and reason."""
    line += kind.function.__code__.co_firstlineno
    return f"user.Inner 'blocks.0.0' (user.py, line {line}): {what}"


REFUSED = [
    ("Loops", ["2,3,8,8"], at(Loops, 2, "bool() of a tensor: what follows depends on data")),
    ("ThroughNumpy", ["2,3,8,8"], at(ThroughNumpy, 2, "numpy() of a tensor: what follows depends on data")),
    ("Thresholds", ["2,3,8,8"], at(Thresholds, 2, "float() of a tensor: what follows depends on data")),
    ("Rows", ["2,3,8,8"], at(Rows, 2, "a number or a loop follows from sizes")),
    ("MakesLayers", ["2,3,8,8"], at(MakesLayers, 2, "torch's empty, which has no form")),
    ("Hidden", ["2,3,8,8"], "its tensor 'state', which forward changes, is no buffer"),
]
