"""Weights that are not plain, and classes of torch.nn that torch::nn has not, or not as Python has them."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm


class Normed(nn.Module):
    """Weight norm and spectral norm, of today and as hooks."""

    def __init__(self):
        super().__init__()
        self.a = weight_norm(nn.Conv2d(3, 8, 3, padding=1))
        self.b = spectral_norm(nn.Conv2d(8, 8, 3, padding=1, groups=2), n_power_iterations=2)
        self.c = nn.utils.weight_norm(nn.ConvTranspose2d(8, 8, 2, stride=2, bias=False), dim=1)
        self.d = nn.utils.spectral_norm(nn.ConvTranspose2d(8, 4, 2, stride=2))
        self.head = nn.Sequential(weight_norm(nn.Linear(4, 8), dim=None), nn.ReLU(),
                                  *[spectral_norm(nn.Linear(8, 8)) for _ in range(3)])

    def forward(self, x):
        return self.head(self.d(torch.relu(self.c(self.b(self.a(x))))).mean((2, 3)))


class Attends(nn.Module):
    """Each way into torch.nn's attention, its transformers, and an LSTM with a state that is given."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.attn = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        self.cross = nn.MultiheadAttention(8, 4, bias=False)
        self.other = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, add_bias_kv=True)
        self.layers = nn.ModuleList([nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(3)])
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.decoder = nn.TransformerDecoderLayer(8, 2, 16, activation="gelu", norm_first=True)
        self.lstm = nn.LSTM(8, 8, 2, batch_first=True)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        y, _ = self.attn(x, x, x, need_weights=False)
        x = x + y
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        y, weights = self.attn(x, x, x, attn_mask=mask, average_attn_weights=False)
        x = x + y + weights.mean()
        x = x + self.cross(x, y, y)[0]
        for layer in self.layers:
            x = layer(x, x, x)[0] + x
        x = x + self.other(x, y[..., :6], y[..., 2:6])[0]
        x, state = self.lstm(self.decoder(self.encoder(x), y))
        x, (h, _) = self.lstm(x, state)
        return x + h[-1].unsqueeze(1)


class Untabled(nn.Module):
    """Classes that torch::nn lacks, or lacks with these options: structs of the page."""

    def __init__(self):
        super().__init__()
        self.shuffle, self.pad = nn.ChannelShuffle(2), nn.CircularPad2d((1, 2, 0, 1))
        self.norm, self.plain = nn.RMSNorm(4), nn.RMSNorm(4, eps=1e-3, elementwise_affine=False)
        self.scale, self.pool = nn.LayerNorm(4, bias=False), nn.AdaptiveAvgPool2d((None, 4))
        self.drop = nn.Dropout1d(0.3)

    def forward(self, x):
        x = self.pad(self.shuffle(x))
        x = x[..., :5]
        x = self.scale(self.pool(x))
        return self.drop((self.norm(x) + self.plain(x)).flatten(2))


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.proj = nn.Linear(8, 16), nn.Linear(16, 8)
        self.gain = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x):
        return self.proj(self.up(x)) * self.gain


class Tied(nn.Module):
    """Parameters and modules with two names, and frozen ones."""

    def __init__(self):
        super().__init__()
        self.embed, self.mid, self.head = nn.Linear(8, 16), nn.Linear(16, 8, bias=False), nn.Linear(8, 16)
        self.inner = Inner()
        self.same = self.inner
        self.list = nn.ModuleList([nn.Linear(16, 8), nn.Linear(8, 16)])
        self.head.weight = self.list[1].weight = self.embed.weight
        self.inner.proj.weight = self.mid.weight
        self.gain = self.inner.gain
        self.frozen = nn.Sequential(nn.Linear(16, 8), nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)))
        self.frozen[1].requires_grad_(False)
        self.list[0].bias.requires_grad_(False)
        self.mask = nn.Parameter(torch.ones(16), requires_grad=False)

    def forward(self, x):
        x = self.head(self.same(self.inner(self.mid(torch.relu(self.embed(x))))))
        return self.list[1](self.list[0](x + self.head(self.frozen(x)))) * self.gain * self.mask


class Double(nn.Module):
    """Weights of another type."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 8)
        self.inner = Inner()
        self.double()

    def forward(self, x):
        return self.inner(self.fc(self.norm(self.conv(x)).mean((2, 3))))


class Orthogonal(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = orthogonal(nn.Linear(8, 8))

    def forward(self, x):
        return self.fc(x)


class TwoTypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8).double()

    def forward(self, x):
        return self.b(self.a(x).double())


class Lends(nn.Module):
    """A block that computes with what another one made."""

    def __init__(self, lent):
        super().__init__()
        self.own, self.lent, self.inside = nn.Linear(8, 16), lent.proj, nn.ModuleList([lent, nn.Linear(8, 8)])

    def forward(self, x):
        return self.inside[1](self.inside[0](self.lent(self.own(x))))


class SharedElsewhere(nn.Module):
    """Modules with weights in two places: in another module, in lists, and twice in one list."""

    def __init__(self):
        super().__init__()
        self.a, self.up = Inner(), nn.Linear(8, 16)
        self.b = self.a.proj
        self.blocks = nn.ModuleList([Lends(self.a), Lends(self.a)])
        self.lin0, self.lin1 = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.lins = nn.ModuleList([self.lin0, self.lin1, nn.Linear(8, 8), self.lin0])

    def forward(self, x):
        x = self.b(self.up(self.a(x)))
        for block in self.blocks:
            x = block(x)
        for lin in self.lins:
            x = lin(x)
        return x


class SharedInSequential(nn.Module):
    def __init__(self):
        super().__init__()
        fc = nn.Linear(8, 8)
        self.both = nn.Sequential(fc, nn.ReLU(), fc)

    def forward(self, x):
        return self.both(x)


class EvenResponse(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.CrossMapLRN2d(2)

    def forward(self, x):
        return self.norm(x)


CASES = [("Normed", ["2,3,8,8"]), ("Attends", ["2,3,16,16"]), ("Untabled", ["2,4,6,5"]), ("Tied", ["2,8"]),
         ("Double", ["2,3,6,6"]), ("SharedElsewhere", ["2,8"])]
REFUSED = [
    ("Orthogonal", ["2,8"], "a parametrization of weight by _Orthogonal"),
    ("TwoTypes", ["2,8"], "its 'weight' is torch.float32, and others are of another type"),
    ("SharedInSequential", ["2,8"], "it is also 'both.0': C++'s Sequential cannot share it"),
    ("EvenResponse", ["2,3,4,4"], "the autograd function CrossMapLRN2d"),
]
