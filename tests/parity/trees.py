"""Writes files of torch.save with values of all kinds, and some that no tree has: trees.py FOLDER, or trees.py --back FOLDER"""

import argparse
import collections
import math
import sys
from pathlib import Path

import torch


def good():
    shared = torch.arange(6.0)
    return {
        "none": None, "yes": True, "no": False, "int": -5, "large": 2**62, "real": 0.1, "infinity": math.inf, "text": "zwölf \U0001f600",
        "list": [1, [2, "x"], []], "tuple": (0.9, 0.999), "empty": {}, 3: "three", -4: {"deep": [{"er": 1}]},
        "ordered": collections.OrderedDict(weight=torch.ones(2, 3), bias=shared[2:4]),
        "shared": shared.view(2, 3).t(), "counter": collections.Counter([1, 5, 5]), "half": torch.tensor(0.5, dtype=torch.bfloat16),
    }


def bad():
    deep, cycle, many = [], [], []
    for _ in range(150):
        deep = [deep]
    cycle.append(cycle)
    for _ in range(40):
        many = [many, many]
    text = "x" * 1_000_000
    return {
        "deep": deep, "cycle": cycle, "many": many, "repeated": [text] * 1000, "object": {"args": argparse.Namespace(a=1)},
        "bigint": [2**70], "bytes": {"b": b"x"}, "key": {(1, 2): 3}, "sparse": [torch.ones(2).to_sparse()],
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


if __name__ == "__main__":
    if sys.argv[1] == "--back":
        loaded = torch.load(Path(sys.argv[2], "back.pt"), weights_only=True)
        assert same(loaded, good()), loaded
        assert loaded["shared"].untyped_storage().data_ptr() == loaded["ordered"]["bias"].untyped_storage().data_ptr()
    else:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(good(), folder / "good.pt")
        torch.save(good(), folder / "good_legacy.pt", _use_new_zipfile_serialization=False)
        for name, value in bad().items():
            torch.save(value, folder / f"{name}.pt")
