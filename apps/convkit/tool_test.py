"""Runs the command-line tool as a user does: tool_test.py CONVKIT"""

import collections
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
    for arguments in ((), ("inspect",), ("convert",), ("draw",), ("compare",), ("summary",), ("models",)):
        text = convkit(*arguments, "--help").stdout
        assert text.startswith("Example: convkit "), text
    for arguments in ((), ("nonsense",), ("inspect",), ("inspect", "a", "b"), ("inspect", "a", "--no-such-option"),
                      ("convert", "a"), ("models", "a"), ("compare", "resnet18"), ("summary", "resnet18"), ("summary", "resnet18", "--input", "1,3,0,64"), ("summary", "resnet18", "--input", "1,3,64"), ("compare", "resnet-18", "/dev/null"), ("convert", "a", "b.pt", "--strip-prefix", "")):
        result = convkit(*arguments, code=2)
        assert result.stdout == "" and result.stderr, (arguments, result)


def check_models():
    names = convkit("models").stdout.split()
    assert len(names) == len(set(names)) == 35, names
    assert {"resnet18", "mobilenet_v2", "efficientnet_v2_s", "convnext_tiny", "unet_resnet34"} <= set(names), names


def check_summary(folder):
    arguments = ("summary", "resnet18", "--input", "1,3,224,224")
    printed = convkit(*arguments).stdout
    for line in ("ResNet ", "├─conv1 Conv2d", "│ ├─0 BasicBlock", "└─fc Linear", "11,689,512 (11,689,512 trainable), 46.76 MB",
                 "MACs         1,814,073,344, "):
        assert line in printed, (line, printed)
    assert "BasicBlock" not in convkit(*arguments, "--depth", "1").stdout
    result = json.loads(convkit(*arguments, "--json").stdout)
    assert (result["parameters"], result["macs"]) == (11689512, 1814073344)
    layers = {layer["path"]: layer for layer in result["layers"]}
    assert layers["layer4"]["output"] == [[1, 512, 7, 7]] and layers["layer4.1.relu"]["calls"] == 2, layers["layer4.1.relu"]
    save_file({"fc.weight": torch.zeros(3, 2)}, folder / "other.safetensors")
    assert "Missing key(s)" in convkit(*arguments, "--weights", folder / "other.safetensors", code=2).stderr


def check_inspect(folder):
    file = folder / "a.safetensors"
    tensors = {"conv.weight": torch.randn(8, 3, 3, 3), "conv.bias": torch.randn(8).bfloat16(),
               "steps": torch.tensor(1234567), "\x1b[31mred\n": torch.zeros(0, 5), "Füße": torch.ones(2, dtype=torch.bool)}
    save_file(tensors, file, {"format": "pt"})
    printed = convkit("inspect", file).stdout
    assert "\x1b" not in printed
    for line in ("conv.weight        float32   [8, 3, 3, 3]            864", r'"\u001b[31mred\n"',
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
    assert result.stderr == "convkit: kept the names of 1 tensor, which do not begin with module.\n"
    loaded = load_file(two)
    assert sorted(loaded) == ["a", "b", "c"]
    assert all(torch.equal(loaded[name.removeprefix("module.")], tensor) for name, tensor in tensors.items())
    with safe_open(two, "pt") as file:
        assert file.metadata() == {"format": "pt"}

    before = two.read_bytes()
    for arguments, words in (
            ((one, two, "--strip-prefix", "model."), "expected names that begin with it, got c and others"),
            ((one, two, "--strip-prefix", "module.a"), "which is none"),
            ((one, folder / "two.txt"), "expected a name that ends with .safetensors, .pt or .pth, got"),
            ((folder / "none", two), "No such file or directory")):
        result = convkit("convert", *arguments, code=2)
        assert words in result.stderr and result.stderr.count("\n") == 1, (words, result)
    save_file({"m.a": torch.ones(1), "a": torch.ones(2)}, one)
    assert "which is there" in convkit("convert", one, two, "--strip-prefix", "m.", code=2).stderr
    assert two.read_bytes() == before

    convkit("convert", two, two)  # onto itself
    assert two.read_bytes() == before


def check_formats(folder):
    """Every direction, a nested checkpoint, shared tensors."""
    weight = torch.randn(4, 3)
    state = {"module.a": weight, "module.b": weight, "module.c": weight.t()}
    nested = {"epoch": 7, "lr": 0.5, "ema": {"model": {"x": torch.randn(2)}}, "model": state}
    training, flat, back = folder / "training.pt", folder / "flat.safetensors", folder / "back.pth"
    torch.save(nested, training)

    printed = convkit("inspect", training).stdout
    for words in ("ema.model.x", "model.module.c  float32  [3, 4]", "  epoch: 7\n  lr: 0.5\n"):
        assert words in printed, (words, printed)
    assert "module.c" not in convkit("inspect", training, "--at", "ema.model").stdout
    assert json.loads(convkit("inspect", training, "--json").stdout)["metadata"] == {"epoch": "7", "lr": "0.5"}

    result = convkit("convert", training, flat, "--strip-prefix", "module.")
    assert result.stderr == "convkit: these share memory, and each is written whole: a, b, c\n", result.stderr
    loaded = load_file(flat)
    assert {key: value.tolist() for key, value in loaded.items()} == {
        "a": weight.tolist(), "b": weight.tolist(), "c": weight.t().tolist()}
    with safe_open(flat, "pt") as file:
        assert file.metadata() == {"format": "pt", "epoch": "7", "lr": "0.5"}

    assert convkit("convert", flat, back).stderr == f"convkit: left out the metadata, which {back} cannot hold\n"
    loaded = torch.load(back, weights_only=True)
    assert isinstance(loaded, collections.OrderedDict) and torch.equal(loaded["c"], weight.t())

    convkit("convert", training, back, "--at", "model")
    loaded = torch.load(back, weights_only=True)
    assert list(loaded) == list(state) and loaded["module.c"].data_ptr() == loaded["module.a"].data_ptr()
    assert loaded["module.c"].stride() == (1, 3)

    torch.save({"generator": state, "critic": state}, training)
    result = convkit("convert", training, back, code=2)
    assert "got \"generator\", \"critic\": choose by" in result.stderr, result.stderr
    for key in ("nothing", "generator.module", "generator.module.a.x"):
        assert "expected .at to be a member" in convkit("convert", training, back, "--at", key, code=2).stderr


def check_terminal(folder):
    odd = folder / "a\x1b[31mb\nc.safetensors"
    assert "\x1b" not in convkit("inspect", odd, code=2).stderr
    save_file({"a": torch.ones(1)}, folder / "a.safetensors")
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.argv[1], "inspect", folder / "a.safetensors"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2 and "cannot write to the standard output" in result.stderr, result


with tempfile.TemporaryDirectory() as name:
    check_help()
    check_formats(Path(name))
    check_terminal(Path(name))
    check_models()
    check_summary(Path(name))
    check_inspect(Path(name))
    check_convert(Path(name))
print("inspect, convert, models and summary behave")
