"""Trains small networks by Python's optimizers and schedules: optimizers.py FOLDER, or optimizers.py --back FOLDER

The first writes what they compute; the second loads what the C++ tests have saved at half time, and trains on.
"""

import copy
import json
import math
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

MARKED = (1, 2, 10, 50, 200)
HALF, STEPS = 100, 200
SCHEDULE_STEPS, SCHEDULE_HALF = 300, 150


def cases():
    """(name, optimizer, options of one or two groups, more)"""
    plain = [
        ("sgd", "SGD", [{"lr": 0.3}]),
        ("sgd_momentum", "SGD", [{"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}]),
        ("sgd_dampening", "SGD", [{"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "maximize": True}]),
        ("sgd_nesterov", "SGD", [{"lr": 0.02, "momentum": 0.9, "nesterov": True}, {"lr": 0.07, "momentum": 0.5, "weight_decay": 0.01}]),
        ("adam", "Adam", [{}]),
        ("adam_amsgrad", "Adam", [{"lr": 0.01, "amsgrad": True, "weight_decay": 0.01, "betas": [0.8, 0.95]}]),
        ("adam_maximize", "Adam", [{"lr": 0.003, "maximize": True, "eps": 1e-6}]),
        ("adam_decoupled", "Adam", [{"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.02}]),
        ("adamw", "AdamW", [{"lr": 0.01, "weight_decay": 0.05}]),
        ("adamw_amsgrad", "AdamW", [{"lr": 0.01, "amsgrad": True}, {"lr": 0.001, "weight_decay": 0.0, "amsgrad": True}]),
        ("rmsprop", "RMSprop", [{"lr": 0.01}]),
        ("rmsprop_centered", "RMSprop", [{"lr": 0.01, "centered": True, "weight_decay": 0.01}]),
        ("rmsprop_momentum", "RMSprop", [{"lr": 0.003, "momentum": 0.9, "centered": True, "alpha": 0.9, "maximize": True}]),
        ("adagrad", "Adagrad", [{"lr": 0.05}]),
        ("adagrad_decay", "Adagrad", [{"lr": 0.05, "lr_decay": 0.01, "weight_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-6, "maximize": True}]),
        ("nadam", "NAdam", [{"lr": 0.01}]),
        ("nadam_decoupled", "NAdam", [{"lr": 0.01, "weight_decay": 0.05, "decoupled_weight_decay": True, "momentum_decay": 0.01}, {"weight_decay": 0.01, "maximize": True}]),
        ("radam", "RAdam", [{"lr": 0.01}]),
        ("radam_decoupled", "RAdam", [{"lr": 0.01, "weight_decay": 0.05, "decoupled_weight_decay": True}, {"weight_decay": 0.01, "maximize": True, "betas": [0.7, 0.9]}]),
    ]
    for name, optimizer, groups in plain:
        yield name, optimizer, groups, {}
    for name, optimizer, groups in plain:
        if optimizer in ("SGD", "Adam", "AdamW", "Adagrad"):
            yield f"{name}_fused", optimizer, [{**group, "fused": True} for group in groups], {"early": name.startswith("sgd_")}
    yield "sgd_lr_changed", "SGD", [{"lr": 0.05, "momentum": 0.9}], {"lr_at": {"60": 0.01, "120": 0.2}}
    yield "adam_clip_norm", "Adam", [{"lr": 0.01}], {"clip_norm": [0.5, 2.0]}
    yield "adam_clip_inf", "Adam", [{"lr": 0.01}], {"clip_norm": [0.05, math.inf]}
    yield "sgd_clip_one", "SGD", [{"lr": 0.05}], {"clip_norm": [1.0, 1.0]}
    yield "sgd_clip_value", "SGD", [{"lr": 0.05}], {"clip_value": 0.01}
    yield "adamw_step_lr", "AdamW", [{"lr": 0.01}, {"lr": 0.003}], {"schedule": "step"}
    yield "sgd_one_cycle", "SGD", [{"lr": 0.01, "momentum": 0.9}], {"schedule": "one_cycle"}
    yield "adam_one_cycle", "Adam", [{"lr": 0.01}], {"schedule": "one_cycle"}


# Those that are run in float64 too: what differs between the types is in the operators.
DOUBLE = {"sgd_nesterov", "adam_amsgrad", "adamw", "rmsprop_momentum", "adagrad_decay", "nadam_decoupled", "radam_decoupled",
          "sgd_momentum_fused", "adamw_fused", "adagrad_decay_fused"}


def all_cases():
    for case in cases():
        yield torch.float32, *case
    for case in cases():
        name, more = case[0], case[3]
        if name in DOUBLE:
            yield torch.float64, *case
        # torch 2.13's fused SGD leaves most of a bfloat16 parameter as it was; convkit refuses it.
        if not more or (name.endswith("_fused") and case[1] != "SGD"):
            yield torch.bfloat16, *case


def schedule_cases():
    from torch.optim import lr_scheduler as s

    def sequential(optimizer):
        parts = [s.LinearLR(optimizer, 0.1, 1.0, 7), s.CosineAnnealingLR(optimizer, 60), s.ExponentialLR(optimizer, 0.98), s.MultiStepLR(optimizer, [10, 20])]
        return s.SequentialLR(optimizer, parts, [7, 70, 200])

    def nested(optimizer):
        inner = s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.2, 3), s.PolynomialLR(optimizer, 30, 2.0)], [4])
        return s.SequentialLR(optimizer, [inner, s.CosineAnnealingWarmRestarts(optimizer, 20, 2), s.StepLR(optimizer, 9, 0.7), s.ConstantLR(optimizer, 0.3, 11), s.LinearLR(optimizer, 0.25, 0.75, 9), s.PolynomialLR(optimizer, 12, 1.5)], [40, 120, 180, 210, 240])

    return {
        "step": lambda o: s.StepLR(o, 30, 0.3),
        "multi_step": lambda o: s.MultiStepLR(o, [17, 40, 40, 200], 0.3),
        "exponential": lambda o: s.ExponentialLR(o, 0.99),
        "cosine": lambda o: s.CosineAnnealingLR(o, 70, 0.001),
        "cosine_whole": lambda o: s.CosineAnnealingLR(o, 300),
        "linear": lambda o: s.LinearLR(o, 0.3, 0.9, 130),
        "constant": lambda o: s.ConstantLR(o, 0.3, 77),
        "polynomial": lambda o: s.PolynomialLR(o, 250, 0.9),
        "lambda": lambda o: s.LambdaLR(o, [lambda epoch: 0.95**epoch, lambda epoch: 1 / (1 + epoch)]),
        "sequential": sequential,
        "nested": nested,
        "one_cycle": lambda o: s.OneCycleLR(o, [0.1, 0.3], total_steps=301),
        "one_cycle_linear": lambda o: s.OneCycleLR(o, 0.2, total_steps=310, anneal_strategy="linear", three_phase=True, pct_start=0.25, base_momentum=0.8, max_momentum=[0.9, 0.99], div_factor=10.0, final_div_factor=100.0),
        "one_cycle_fixed": lambda o: s.OneCycleLR(o, 0.2, total_steps=301, cycle_momentum=False),
        "warm_restarts": lambda o: s.CosineAnnealingWarmRestarts(o, 40),
        "warm_restarts_longer": lambda o: s.CosineAnnealingWarmRestarts(o, 7, 3, 0.002),
        "plateau": lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=4, cooldown=3, min_lr=[0.001, 0.0]),
        "plateau_max": lambda o: s.ReduceLROnPlateau(o, "max", 0.7, 2, 0.05, "abs", min_lr=0.002),
    }


# What the optimizers' own cases go with.
TRAINED_BY = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 20, 0.7),
    "one_cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.05, total_steps=STEPS),
}


def metric(step):
    """A loss that falls, rests, and rises."""
    return round(1 / (1 + step % 90) + 0.1 * math.sin(step), 6)


class Net(torch.nn.Module):
    """One layer is used twice, one parameter never, and one from the fifth step on."""

    def __init__(self, dtype, early):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        shapes = {"w1": (16, 8), "b1": (16,), "w2": (16, 16), "b2": (16,), "w3": (4, 16), "late": (4,), "unused": (7,)}
        self.early = early
        for name, shape in shapes.items():
            value = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.4
            self.register_parameter(name, torch.nn.Parameter(value.to(dtype)))

    def forward(self, x, step):
        x = torch.tanh(F.linear(x, self.w1, self.b1))
        for _ in range(2):
            x = torch.relu(F.linear(x, self.w2, self.b2))
        x = F.linear(x, self.w3)
        return x * self.late if self.early or step >= 5 else x


def data(dtype):
    generator = torch.Generator().manual_seed(7)
    x = torch.randn((10, 12, 8), generator=generator, dtype=torch.float64)
    return x.to(dtype), torch.sin(x[..., :4] * 2).to(dtype)


class Training:
    def __init__(self, optimizer, groups, more, dtype):
        self.more = more
        self.net = Net(dtype, more.get("early", False))
        self.params = list(self.net.parameters())
        groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in groups]
        if len(groups) == 1:
            self.optimizer = getattr(torch.optim, optimizer)(self.params, **groups[0])
        else:
            parts = [self.params[:3], self.params[3:]]
            given = [{"params": part, **group} for part, group in zip(parts, groups)]
            self.optimizer = getattr(torch.optim, optimizer)(given)
        self.schedule = TRAINED_BY[more["schedule"]](self.optimizer) if "schedule" in more else None
        self.x, self.y = data(dtype)
        # So that what is maximized has a maximum.
        self.negative = all(group.get("maximize", False) for group in groups)

    def step(self, step):
        lr = self.more.get("lr_at", {}).get(str(step))
        if lr is not None:
            self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.zero_grad()
        index = step % len(self.x)
        loss = F.mse_loss(self.net(self.x[index], step), self.y[index])
        (-loss if self.negative else loss).backward()
        norm = None
        if "clip_norm" in self.more:
            norm = torch.nn.utils.clip_grad_norm_(self.params, *self.more["clip_norm"])
        if "clip_value" in self.more:
            torch.nn.utils.clip_grad_value_(self.params, self.more["clip_value"])
        self.optimizer.step()
        if self.schedule is not None and step < STEPS:
            self.schedule.step()
        return norm

    def tensors(self):
        result = {f"p{i}": p.detach().clone() for i, p in enumerate(self.params)}
        for number, state in self.optimizer.state_dict()["state"].items():
            result |= {f"s{number}.{name}": tensor.clone() for name, tensor in state.items()}
        return result

    def whole(self):
        return {
            "params": [p.detach().clone() for p in self.params],
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "schedule": copy.deepcopy(self.schedule.state_dict()) if self.schedule is not None else None,
        }

    def load(self, whole):
        with torch.no_grad():
            for p, value in zip(self.params, whole["params"]):
                p.copy_(value)
        self.optimizer.load_state_dict(whole["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(whole["schedule"])


def scheduled(name, make):
    torch.manual_seed(0)
    kind = torch.optim.Adam if name.endswith(("linear", "step")) else torch.optim.SGD
    more = {} if kind is torch.optim.Adam else {"momentum": 0.9}
    params = [torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))]
    optimizer = kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.03}], lr=0.1, **more)
    return optimizer, make(optimizer)


def advance(schedule, step):
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        schedule.step(metric(step))
    else:
        schedule.step()


def momentum(group):
    return group["betas"][0] if "betas" in group else group["momentum"]


def numbers(optimizer):
    return [value for group in optimizer.param_groups for value in (group["lr"], momentum(group))]


def averages():
    """Five updates of each average, of a network with a batch norm, and the statistics after update_bn."""
    tensors = {}
    for name, arguments in {
        "swa": {},
        "swa_buffers": {"use_buffers": True},
        "ema": {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)},
        "ema_buffers": {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    }.items():
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            torch.manual_seed(3)
            net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).to(dtype)
            average = torch.optim.swa_utils.AveragedModel(net, **arguments)
            key = f"average.{name}.{str(dtype).removeprefix('torch.')}"
            for i in range(5):
                with torch.no_grad():
                    for value in net.state_dict().values():
                        value.add_(torch.randn(value.shape).to(value.dtype) if value.is_floating_point() else i + 1)
                tensors |= {f"{key}.given{i}.{k}": v.clone() for k, v in net.state_dict().items()}
                average.update_parameters(net)
                tensors |= {f"{key}.{i}.{k}": v.clone() for k, v in average.state_dict().items()}
            x = torch.randn(4, 3, 2, 7, 7).to(dtype)
            torch.optim.swa_utils.update_bn(x, average)
            tensors[f"{key}.x"] = x
            tensors |= {f"{key}.bn.{k}": v.clone() for k, v in average.state_dict().items()}
    return tensors


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    manifest, tensors = {"cases": [], "schedules": []}, averages()
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        short = str(dtype).removeprefix("torch.")
        x, y = data(dtype)
        tensors |= {f"{short}.x": x, f"{short}.y": y}
        tensors |= {f"{short}.p{i}": p.detach() for i, p in enumerate(Net(dtype, False).parameters())}
    for dtype, name, optimizer, groups, more in all_cases():
        short = str(dtype).removeprefix("torch.")
        key = f"{name}.{short}"
        training = Training(optimizer, groups, more, dtype)
        before = [p.detach().clone() for p in training.params]
        for step in range(1, STEPS + 1):
            norm = training.step(step)
            if step in MARKED:
                tensors |= {f"{key}.{step}.{k}": v for k, v in training.tensors().items()}
                if norm is not None:
                    tensors[f"{key}.{step}.norm"] = norm
            if step == HALF:
                torch.save(training.whole(), folder / f"{key}.pt")
        moved = [not torch.equal(a, b) for a, b in zip(before, training.params)]
        assert moved == [True] * 6 + [False], (key, moved)
        assert all(torch.isfinite(p).all() for p in training.params), key
        resumed = Training(optimizer, groups, more, dtype)
        resumed.load(torch.load(folder / f"{key}.pt", weights_only=True))
        for step in range(HALF + 1, STEPS + 1):
            resumed.step(step)
        tensors |= {f"{key}.resumed.{k}": v for k, v in resumed.tensors().items()}
        more = {k: str(v[1]) if k == "clip_norm" and math.isinf(v[1]) else v for k, v in more.items()}
        if more.get("clip_norm") == "inf":
            more["clip_norm"] = [0.05, -1]
        manifest["cases"].append({"name": name, "dtype": short, "optimizer": optimizer, "groups": groups, **more})
    for name, make in schedule_cases().items():
        optimizer, schedule = scheduled(name, make)
        rows = [numbers(optimizer)]
        for step in range(SCHEDULE_STEPS):
            optimizer.step()
            advance(schedule, step)
            rows.append(numbers(optimizer))
            if step + 1 == SCHEDULE_HALF:
                torch.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, folder / f"schedule.{name}.pt")
        tensors[f"schedule.{name}"] = torch.tensor(rows, dtype=torch.float64)
        assert len(set(row[0] for row in rows)) > 1, name
        manifest["schedules"].append(name)
    tensors["metrics"] = torch.tensor([metric(step) for step in range(SCHEDULE_STEPS)], dtype=torch.float64)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "optimizers.safetensors")
    (folder / "optimizers.json").write_text(json.dumps(manifest))


def same(a, b, where):
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b), (where, a, b)
    elif isinstance(a, dict):
        assert isinstance(b, dict) and a.keys() == b.keys(), (where, a.keys(), b.keys())
        for key in a:
            same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b), (where, a, b)
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{where}.{i}")
    else:
        assert a == b, (where, a, b)


def back(folder):
    expected = load_file(folder / "optimizers.safetensors")
    count = 0
    for dtype, name, optimizer, groups, more in all_cases():
        short = str(dtype).removeprefix("torch.")
        key = f"{name}.{short}"
        ours = torch.load(folder / "back" / f"{key}.pt", weights_only=True)
        same(torch.load(folder / f"{key}.pt", weights_only=True), ours, key)
        training = Training(optimizer, groups, more, dtype)
        training.load(ours)
        for step in range(HALF + 1, STEPS + 1):
            training.step(step)
        for tensor, value in training.tensors().items():
            assert torch.equal(value, expected[f"{key}.resumed.{tensor}"]), (key, tensor)
        count += 1
    for name, make in schedule_cases().items():
        ours = torch.load(folder / "back" / f"schedule.{name}.pt", weights_only=True)
        same(torch.load(folder / f"schedule.{name}.pt", weights_only=True), ours, name)
        optimizer, schedule = scheduled(name, make)
        optimizer.load_state_dict(ours["optimizer"])
        schedule.load_state_dict(ours["schedule"])
        rows = expected[f"schedule.{name}"].tolist()
        for step in range(SCHEDULE_HALF, SCHEDULE_STEPS):
            optimizer.step()
            advance(schedule, step)
            assert numbers(optimizer) == rows[step + 1], (name, step)
        count += 1
    print(f"{count} states of C++ loaded and trained on")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if sys.argv[1] == "--back":
        back(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
