"""Loads what the C++ tests have saved: back.py FOLDER"""

import collections
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

import modules
from cases import cases
from checkpoints import described
from torch_files import Net, shape_of, shared


def check_shards(folder):
    """Files and index are byte for byte those of huggingface_hub."""
    for ours in folder.glob("shards_*/"):
        state = torch.load(f"{ours}.pt", weights_only=True)
        with tempfile.TemporaryDirectory() as theirs:
            save_torch_state_dict(state, theirs, max_shard_size=int(ours.name.removeprefix("shards_")))
            names = sorted(os.listdir(theirs))
            assert names == sorted(os.listdir(ours)), (ours, names)
            for name in names:
                if names == ["model.safetensors"]:  # ours has no metadata, which was not given
                    continue
                assert Path(theirs, name).read_bytes() == (ours / name).read_bytes(), (ours, name)
        shards = [load_file(path) for path in ours.glob("*.safetensors")]
        loaded = {key: value for shard in shards for key, value in shard.items()}
        assert sum(map(len, shards)) == len(state) and all(torch.equal(loaded[key], value) for key, value in state.items()), ours


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    count = 0
    for seed, case in enumerate(cases()):
        torch.manual_seed(seed)
        module = getattr(modules, case.module)(**case.options)
        before = {key: value.clone() for key, value in module.state_dict().items()}
        with torch.no_grad():
            for value in module.state_dict().values():
                value.zero_()
        state = load_file(folder / "back" / f"{seed}.safetensors")
        assert str(module.load_state_dict(state)) == "<All keys matched successfully>", case.name
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[key]), f"{case.name}: {key}"
        count += 1

    files = 0
    for entry in json.loads((folder / "checkpoints" / "manifest.json").read_text()):
        copy = folder / "back" / entry["file"]
        if not copy.exists():
            continue
        with safe_open(copy, framework="pt") as file:
            tensors = {name: described(tensor) for name, tensor in file.get_tensors().items()}
            assert tensors == entry["tensors"], entry["file"]
            assert (file.metadata() or {}) == entry["metadata"], entry["file"]
        files += 1
    assert files >= 45, files

    torch_files = 0
    for entry in json.loads((folder / "torch_files" / "manifest.json").read_text()):
        if "crafted" in entry:
            continue
        loaded = torch.load(folder / "back" / entry["file"], weights_only=True)
        assert type(loaded) is collections.OrderedDict, entry["file"]
        assert {name: shape_of(tensor) for name, tensor in loaded.items()} == entry["tensors"], entry["file"]
        assert shared(dict(loaded)) == entry["shared"], entry["file"]
        with zipfile.ZipFile(folder / "back" / entry["file"]) as archive:
            assert archive.testzip() is None, entry["file"]  # the check sums
        torch_files += 1
    assert torch_files >= 80, torch_files
    module = Net()
    state = torch.load(folder / "back" / "state_dict.pt", weights_only=True)
    assert str(module.load_state_dict(state)) == "<All keys matched successfully>"

    check_shards(folder / "back")

    scripts = sorted((folder / "back").glob("script*.safetensors"))
    assert len(scripts) == 3, scripts
    for path in scripts:
        script = torch.jit.load(path.with_suffix(".pt"))
        expected = load_file(path)
        x, y = expected.pop("x").clone(), expected.pop("y")
        for _ in range(3):  # the executor optimises from the second call on
            assert torch.equal(script(x), y), path
        ours = script.state_dict()
        assert set(ours) == set(expected), path
        assert all(torch.equal(ours[key], value) for key, value in expected.items()), path

    print(f"{count} modules, {files} .safetensors files and {torch_files} .pt files loaded")


if __name__ == "__main__":
    main()
