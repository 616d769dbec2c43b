"""Runs the command-line tool as a user does: tool_test.py CONVKIT"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def convkit(*arguments, code=0):
    result = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == code, (arguments, result)
    return result


def check_help():
    for arguments in ((), ("inspect",), ("convert",)):
        text = convkit(*arguments, "--help").stdout
        assert text.startswith("Example: convkit "), text
    for arguments in ((), ("nonsense",), ("inspect",), ("inspect", "a", "b"), ("inspect", "a", "--no-such-option"),
                      ("convert", "a")):
        result = convkit(*arguments, code=2)
        assert result.stdout == "" and result.stderr, (arguments, result)


def check_inspect(folder):
    file = folder / "a.safetensors"
    tensors = {"conv.weight": torch.randn(8, 3, 3, 3), "conv.bias": torch.randn(8).bfloat16(),
               "steps": torch.tensor(1234567), "\x1b[31mred\n": torch.zeros(0, 5), "Füße": torch.ones(2, dtype=torch.bool)}
    save_file(tensors, file, {"format": "pt"})
    printed = convkit("inspect", file).stdout
    assert "\x1b" not in printed
    for line in ("conv.weight        float32    [8, 3, 3, 3]            864", r'"\u001b[31mred\n"',
                 "5 tensors, 227 elements, 890 bytes", "metadata\n  format: pt"):
        assert line in printed, (line, printed)
    result = json.loads(convkit("inspect", file, "--json").stdout)
    assert result["bytes"] == 890 and result["elements"] == 227 and result["metadata"] == {"format": "pt"}
    assert {entry["name"]: (entry["dtype"], entry["shape"], entry["bytes"]) for entry in result["tensors"]} == {
        name: (str(tensor.dtype)[6:], list(tensor.shape), tensor.nbytes) for name, tensor in tensors.items()}

    save_file({}, file)
    assert convkit("inspect", file).stdout == "0 tensors, 0 elements, 0 bytes\n"
    for bad in (folder, folder / "none.safetensors", Path("/dev/null")):
        result = convkit("inspect", bad, code=2)
        assert result.stdout == "" and result.stderr.startswith("convkit: load_checkpoint: "), result
        assert result.stderr.count("\n") == 1, result


def check_convert(folder):
    one, two = folder / "one.safetensors", folder / "two.safetensors"
    tensors = {"module.a": torch.randn(3), "module.b": torch.randn(2, 2), "c": torch.randn(1)}
    save_file(tensors, one, {"format": "pt"})
    result = convkit("convert", one, two)
    assert result.stdout == "" and result.stderr == ""
    assert one.read_bytes() == two.read_bytes()

    result = convkit("convert", one, two, "--strip-prefix", "module.")
    assert result.stderr == "convkit: kept the names of 1 tensors, which do not begin with module.\n"
    loaded = load_file(two)
    assert sorted(loaded) == ["a", "b", "c"]
    assert all(torch.equal(loaded[name.removeprefix("module.")], tensor) for name, tensor in tensors.items())
    with safe_open(two, "pt") as file:
        assert file.metadata() == {"format": "pt"}

    before = two.read_bytes()
    for arguments, words in (
            ((one, two, "--strip-prefix", "model."), "expected names that begin with it, got \"c\""),
            ((one, two, "--strip-prefix", "module.a"), "which is none"),
            ((one, folder / "two.txt"), "expected a name that ends with .safetensors, got"),
            ((folder / "none", two), "No such file or directory")):
        result = convkit("convert", *arguments, code=2)
        assert words in result.stderr and result.stderr.count("\n") == 1, (words, result)
    save_file({"m.a": torch.ones(1), "a": torch.ones(2)}, one)
    assert "which is there already" in convkit("convert", one, two, "--strip-prefix", "m.", code=2).stderr
    assert two.read_bytes() == before

    convkit("convert", two, two)  # onto itself
    assert two.read_bytes() == before


with tempfile.TemporaryDirectory() as name:
    check_help()
    check_inspect(Path(name))
    check_convert(Path(name))
print("inspect and convert behave")
