"""Loads what the C++ tests have saved: back.py FOLDER"""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

import modules
from cases import cases
from checkpoints import described


def main():
    folder = Path(sys.argv[1])
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
    print(f"{count} modules and {files} files loaded")


if __name__ == "__main__":
    main()
