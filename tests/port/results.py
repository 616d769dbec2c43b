"""Modules with several inputs or results, which the tests port, compile and compare; and modules that are refused."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from torch import nn

Moments = namedtuple("Moments", "mean, spread")


class TwoInputs(nn.Module):
    """Two inputs, of which one may be left out, and a named tuple."""

    def __init__(self):
        super().__init__()
        self.conv, self.code = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(5, 4)

    def forward(self, x, code, mask=None):
        y = self.conv(x) + self.code(code)[:, :, None, None]
        if mask is not None:
            y = y * mask
        return Moments(y.mean((2, 3)), spread=y.amax((2, 3)) - y.amin((2, 3)))


@dataclass
class Output:
    logits: torch.Tensor
    features: list
    loss: Optional[torch.Tensor] = None


class Stem(nn.Module):
    """Gives sizes beside a tensor."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        return x.flatten(2).transpose(1, 2), (x.shape[2], x.shape[3])


class Mixer(nn.Module):
    """Is called with flags, and with and without a tensor and a dict."""

    def __init__(self, scale):
        super().__init__()
        self.proj, self.scale = nn.Linear(4, 4), scale

    def forward(self, x, size, mask=None, context=None, double=False):
        H, W = size
        y = self.proj(x) * self.scale
        if double:
            y = y * 2
        if mask is not None:
            y = y * mask
        if context is not None:
            y = y + context["shift"]
        return y.transpose(1, 2).reshape(x.shape[0], -1, H // 2 * 2, W)


class Heads(nn.Module):
    """A dict of modules, children with keywords, and a data class."""

    def __init__(self):
        super().__init__()
        self.stem, self.mix = Stem(), Mixer(0.5)
        self.heads = nn.ModuleDict({"cls": nn.Conv2d(4, 2, 1), "box-1": nn.Conv2d(4, 3, 1), "mix": Mixer(2.0)})

    def forward(self, x):
        t, size = self.stem(x)
        a = self.mix(t, size)
        b = self.mix(t, size=size, mask=torch.sigmoid(t))
        c = self.mix(t, size, double=True, context={"shift": t * 0.5})
        y = a + b * c
        out = {name: self.heads[name](y) for name in ("cls", "box-1")}
        return Output(out["cls"], [out["box-1"], self.heads["mix"](t, size=size)])


class Modes(nn.Module):
    """Gives more in training than in eval mode, and computes something else."""

    def __init__(self):
        super().__init__()
        self.conv, self.aux, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        x = self.conv(x)
        if self.training:
            aux = self.aux(x)
            aux = aux * 2
        x = F.relu(self.last(x))
        if self.training:
            x = x + torch.rand_like(x)
        x = self.drop(x)
        return (x, aux) if self.training else x


class Auxiliary(nn.Module):
    """A dict with another member in training, of a child that differs so."""

    def __init__(self):
        super().__init__()
        self.inner = Modes()

    def forward(self, x):
        y = self.inner(x)
        if self.training:
            return {"out": y[0] * 2, "aux": y[1].tanh()}
        return {"out": y * 2}


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.next = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        return {"levels": [x, self.next(x)], "moments": Moments(x.mean(1, keepdim=True), x * 2)}


class Uses(nn.Module):
    def forward(self, given, moments, *rest, scale=None):
        mean, _ = moments
        y = given["levels"][0] * mean + moments.spread
        if scale is not None:
            y = y * scale
        return y + rest[0], "a constant"


class Members(nn.Module):
    """Dicts and lists that change after a child gave them, and results that go on to another child."""

    def __init__(self):
        super().__init__()
        self.pyramid, self.uses = Pyramid(), Uses()

    def forward(self, x):
        given = self.pyramid(x)
        levels, moments = given["levels"], given["moments"]
        y, _ = self.uses(given, moments, x[:, :1])
        z, _ = self.uses(given, Moments(moments.mean * 2, spread=y), x[:, 1:2], scale=y.sigmoid())
        levels.append(z)
        given["all"] = torch.cat(levels, 1)
        return given, None


class Normalized(nn.Module):
    """A buffer that operators make, and several results."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def results(self, x):
        y = self.conv(x - self.mean)
        return y, y.mean((2, 3))


class NormalizedDict(Normalized):
    def forward(self, x):
        mask, embedding = self.results(x)
        return {"mask": mask, "embedding": embedding}


class NormalizedNested(Normalized):
    def forward(self, x):
        mask, embedding = self.results(x)
        return mask, (embedding, mask + 1)


class NormalizedList(Normalized):
    def forward(self, x):
        return list(self.results(x))


CASES = [("TwoInputs", ["2,3,8,8", "2,5"]), ("Heads", ["2,3,8,8"]), ("Auxiliary", ["2,3,8,8"]),
         ("Members", ["2,3,8,8"]), ("NormalizedDict", ["2,3,8,8"]), ("NormalizedNested", ["2,3,8,8"]),
         ("NormalizedList", ["2,3,8,8"])]


class Counts(nn.Module):
    def forward(self, x):
        return {"out": x * 2, "count": 2}


class Nothing(nn.Module):
    def forward(self, x):
        x * 2


class OtherKind(nn.Module):
    def forward(self, x):
        return {"out": x * 2} if self.training else [x * 2, x]


class Scaled(nn.Module):
    def forward(self, x, factor):
        return x * factor


class TwoWays(nn.Module):
    def __init__(self):
        super().__init__()
        self.scaled = Scaled()

    def forward(self, x):
        return self.scaled(x, 0.5) + self.scaled(x, 1.5)


REFUSED = [
    ("Counts", ["2,3,8,8"], "a result of type dict, in which count is no tensor"),
    ("Nothing", ["2,3,8,8"], "a result of type NoneType"),
    ("OtherKind", ["2,3,8,8"], "what it gives differs in kind between instances, or between eval mode and training"),
    ("TwoWays", ["2,3,8,8"], "it is called in two ways, which differ in the argument factor"),
]
