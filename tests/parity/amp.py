"""Trains in lower types by Python's autocast and GradScaler: amp.py FOLDER, or amp.py --back FOLDER

The first writes what they compute; the second loads the states that the C++ tests have saved, and trains on.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import sys
import warnings
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

STEPS, HALF = 50, 25
MARKED = (1, 2, 10, 25, 50)
NETWORKS = ("resnet18", "mobilenet_v3_small", "convnext_tiny")

# (optimizer, its options)
SGD = ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3})
ADAMW = ("AdamW", {"lr": 0.01, "weight_decay": 0.05})
FUSED = ("AdamW", {"lr": 0.01, "weight_decay": 0.05, "fused": True})


def cases():
    for dtype in ("bfloat16", "float16"):
        yield {"name": f"sgd.{dtype}", "dtype": dtype, "optimizer": SGD}
        yield {"name": f"adamw.{dtype}", "dtype": dtype, "optimizer": ADAMW}
    yield {"name": "uncached", "dtype": "bfloat16", "optimizer": SGD, "cache": False}
    yield {"name": "nested", "dtype": "bfloat16", "optimizer": ADAMW, "nested": True}
    plain = {"init_scale": 1024.0, "growth_interval": 2}
    odd = {"init_scale": 3000.0, "growth_interval": 3, "growth_factor": 1.7, "backoff_factor": 0.3}
    bad = {"4": "inf", "5": "nan", "13": "-inf", "27": "inf", "41": "nan", "42": "inf", "43": "inf"}
    yield {"name": "scaled.sgd", "dtype": "float16", "optimizer": SGD, "scaler": plain, "bad": bad}
    yield {"name": "scaled.adamw", "dtype": "float16", "optimizer": ADAMW, "scaler": odd, "bad": bad}
    # The first step of all is left out, and its scale is set at others.
    yield {"name": "scaled.first", "dtype": "bfloat16", "optimizer": SGD, "scaler": odd, "bad": {"1": "inf", **bad}, "set": {"8": 777.0, "30": 4096.5}}
    yield {"name": "scaled.clipped", "dtype": "float16", "optimizer": ADAMW, "scaler": odd, "bad": bad, "clip": 0.5}
    yield {"name": "scaled.fused", "dtype": "float16", "optimizer": FUSED, "scaler": plain, "bad": {"1": "inf", **bad}}
    yield {"name": "scaled.two", "dtype": "float16", "optimizer": SGD, "second": ADAMW, "scaler": odd, "bad": bad}
    yield {"name": "scaled.mixed", "dtype": "bfloat16", "optimizer": SGD, "scaler": odd, "bad": bad, "head": "bfloat16"}
    yield {"name": "scaled.off", "dtype": "bfloat16", "optimizer": SGD, "scaler": {"enabled": False}}
    # A scale so large that float16 itself overflows.
    yield {"name": "scaled.overflow", "dtype": "float16", "optimizer": SGD, "scaler": {"init_scale": 2.0**24, "growth_interval": 2}}


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))  # fmt: skip


def start():
    torch.manual_seed(11)
    net = network()
    x = torch.randn(5, 8, 3, 9, 9)
    return net.state_dict(), x, torch.randint(0, 5, (5, 8))


class Training:
    def __init__(self, case):
        self.case = case
        self.net = network()
        weights, self.x, self.y = start()
        self.net.load_state_dict(weights)
        self.dtype = getattr(torch, case["dtype"])
        if "head" in case:
            self.net[8].to(getattr(torch, case["head"]))
        params = list(self.net.parameters())
        lists = [params[:4], params[4:]] if "second" in case else [params]
        chosen = [case["optimizer"], case["second"]] if "second" in case else [case["optimizer"]]
        self.optimizers = [getattr(torch.optim, name)(own, **options) for own, (name, options) in zip(lists, chosen)]
        self.scaler = torch.amp.GradScaler("cpu", **case["scaler"]) if "scaler" in case else None

    def loss(self, x, y):
        with torch.autocast("cpu", self.dtype, cache_enabled=self.case.get("cache", True)):
            if self.case.get("nested"):
                body = self.net[:8](x)
                assert body.dtype == self.dtype
                with torch.autocast("cpu", enabled=False):
                    head = self.net[8](body.float())
                assert head.dtype == torch.float32
                # The second use of what was converted already.
                with torch.autocast("cpu"):
                    return F.cross_entropy(head + self.net(x), y)
            return F.cross_entropy(self.net(x), y)

    def step(self, step):
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        index = step % len(self.x)
        loss = self.loss(self.x[index], self.y[index])
        if self.scaler is None:
            loss.backward()
            self.optimizers[0].step()
            return [loss.item()]
        self.scaler.scale(loss).backward()
        if str(step) in self.case.get("bad", {}):
            self.net[0].weight.grad[1, 0, 2, 1] = float(self.case["bad"][str(step)])
        if "clip" in self.case:
            self.scaler.unscale_(self.optimizers[0])
            nn.utils.clip_grad_norm_(self.net.parameters(), self.case["clip"])
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update(self.case.get("set", {}).get(str(step)))
        return [loss.item(), self.scaler.get_scale(), self.scaler._get_growth_tracker()]

    def tensors(self):
        result = dict(self.net.state_dict())
        result |= {f"grad.{k}": p.grad for k, p in self.net.named_parameters()}
        return {k: v.clone() for k, v in result.items()}

    def whole(self):
        return {
            "model": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
        }

    def load(self, whole):
        self.net.load_state_dict(whole["model"])
        for optimizer, state in zip(self.optimizers, whole["optimizers"]):
            optimizer.load_state_dict(state)
        if self.scaler is not None and self.scaler.is_enabled():
            self.scaler.load_state_dict(whole["scaler"])


def networks():
    """What networks of torchvision give, forward and backward."""
    tensors = {"networks.x": torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))}
    for name in NETWORKS:
        for dtype in (torch.bfloat16, torch.float16):
            torch.manual_seed(0)
            net = torchvision.models.get_model(name, num_classes=10)
            with torch.autocast("cpu", dtype):
                out = net(tensors["networks.x"])
            out.float().square().mean().backward()
            key = f"networks.{name}.{str(dtype).removeprefix('torch.')}"
            tensors |= {f"{key}.out": out.detach(), f"{key}.grad": next(net.parameters()).grad}
    return tensors


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    weights, x, y = start()
    tensors = {"x": x, "y": y, **{f"start.{k}": v for k, v in weights.items()}, **networks()}
    manifest = {"cases": list(cases()), "networks": NETWORKS}
    for case in cases():
        name = case["name"]
        training = Training(case)
        rows = []
        for step in range(1, STEPS + 1):
            rows.append(training.step(step))
            if step in MARKED:
                tensors |= {f"{name}.{step}.{k}": v for k, v in training.tensors().items()}
            if step == HALF:
                torch.save(training.whole(), folder / f"{name}.pt")
        assert rows[-1][0] < rows[0][0], (name, rows)
        tensors[f"{name}.rows"] = torch.tensor(rows, dtype=torch.float64)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "amp.safetensors")
    (folder / "amp.json").write_text(json.dumps(manifest))


def back(folder):
    expected = load_file(folder / "amp.safetensors")
    for case in cases():
        name = case["name"]
        training = Training(case)
        ours = torch.load(folder / "back" / f"{name}.pt", weights_only=True)
        assert ours["scaler"] == torch.load(folder / f"{name}.pt", weights_only=True)["scaler"], name
        training.load(ours)
        for step in range(HALF + 1, STEPS + 1):
            assert training.step(step) == expected[f"{name}.rows"][step - 1].tolist(), (name, step)
        for key, value in training.tensors().items():
            assert torch.equal(value, expected[f"{name}.{STEPS}.{key}"]), (name, key)
    print(f"{len(list(cases()))} trainings of C++ went on")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if sys.argv[1] == "--back":
        back(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
