"""What Python's state_dict() names and load_state_dict() says, for tests/weights/state_dict_test.cpp."""

import torch
from torch import nn

import modules


def net():
    return nn.Sequential(modules.ConvBlock(3, 4), nn.Sequential(modules.SeparableConv2d(4, 6), nn.ReLU()))


def variants():
    """(name, strict, state_dict) of states that fit more or less."""
    def fresh():
        torch.manual_seed(11)
        state = dict(net().state_dict())
        return {key: torch.randn(value.shape) if value.is_floating_point() else value + 3
                for key, value in state.items()}

    def changed(**changes):
        state = fresh()
        for key, value in changes.items():
            key = key.replace("__", ".")
            if value is None:
                del state[key]
            else:
                state[key] = value
        return state

    yield "equal keys", True, fresh()
    yield "reversed order", True, dict(reversed(fresh().items()))
    yield "one missing", True, changed(**{"0__conv__weight": None})
    yield "three missing", True, changed(**{"1__0__pointwise__bias": None, "0__bn__running_var": None,
                                            "0__conv__bias": None})
    yield "counter missing", True, changed(**{"0__bn__num_batches_tracked": None})
    yield "nothing there", True, {}
    yield "unexpected", True, changed(**{"0__bn__other": torch.ones(2), "zzz": torch.ones(1),
                                         "1__1__weight": torch.ones(1), "2__weight": torch.ones(1),
                                         "1__0__depthwise__weight__x": torch.ones(1), "0": torch.ones(1)})
    yield "other shapes", True, changed(**{"0__conv__weight": torch.ones(4, 3, 3, 5),
                                           "1__0__pointwise__bias": torch.ones(7)})
    yield "everything wrong", True, changed(**{"0__conv__weight": torch.ones(1, 3, 3, 3),
                                               "0__bn__weight": None, "new": torch.ones(1),
                                               "1__0__depthwise__bias": torch.ones(4, 1)})
    yield "a number for a vector", True, changed(**{"0__conv__bias": torch.tensor(1.0)})
    yield "[1] for the counter", True, changed(**{"0__bn__num_batches_tracked": torch.tensor([9])})
    yield "other types", True, changed(**{"0__conv__weight": torch.randn(4, 3, 3, 3).double(),
                                          "0__conv__bias": torch.randn(4).half(),
                                          "0__bn__weight": torch.arange(4),
                                          "0__bn__num_batches_tracked": torch.tensor(5.0)})
    yield "not strict", False, changed(**{"0__conv__weight": None, "more": torch.ones(2),
                                          "1__0__x": torch.ones(2)})
    yield "not strict, other shape", False, changed(**{"0__conv__weight": torch.ones(4, 3, 1, 1)})
    yield "module.", True, {"module." + key: value for key, value in fresh().items()}


def loads():
    for name, strict, state in variants():
        torch.manual_seed(12)
        module = net()
        result = {"name": name, "strict": strict, "keys": list(state.keys()),
                  "tensors": list(state.values()), "error": "", "missing": [], "unexpected": []}
        try:
            left = module.load_state_dict(state, strict=strict)
            result["missing"], result["unexpected"] = left.missing_keys, left.unexpected_keys
            result["after"] = [value.clone() for value in module.state_dict().values()]
        except RuntimeError as error:
            result["error"] = str(error)
        yield result


def keys():
    """The keys of torch.nn's own modules."""
    made = {
        "Conv1d": nn.Conv1d(4, 6, 3), "Conv2d without bias": nn.Conv2d(4, 6, 3, bias=False),
        "Conv3d": nn.Conv3d(4, 6, 3), "ConvTranspose2d": nn.ConvTranspose2d(4, 6, 3),
        "BatchNorm1d": nn.BatchNorm1d(4), "BatchNorm2d": nn.BatchNorm2d(4),
        "BatchNorm2d, not affine": nn.BatchNorm2d(4, affine=False),
        "BatchNorm2d, no statistics": nn.BatchNorm2d(4, track_running_stats=False),
        "InstanceNorm2d": nn.InstanceNorm2d(4),
        "InstanceNorm2d, everything": nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        "GroupNorm": nn.GroupNorm(2, 4), "LayerNorm": nn.LayerNorm(4), "Linear": nn.Linear(4, 6),
        "Bilinear": nn.Bilinear(4, 5, 6), "Embedding": nn.Embedding(4, 6), "PReLU": nn.PReLU(4),
        "LSTM": nn.LSTM(4, 6, num_layers=2, bidirectional=True), "GRU": nn.GRU(4, 6),
        "MultiheadAttention": nn.MultiheadAttention(4, 2),
        "TransformerEncoderLayer": nn.TransformerEncoderLayer(4, 2),
    }
    for name, module in made.items():
        yield {"name": name, "keys": list(module.state_dict().keys())}
