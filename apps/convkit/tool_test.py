"""Runs the command-line tool as a user does: tool_test.py CONVKIT"""

import collections
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, isort: skip

import numpy
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image


def convkit(*arguments, code=0):
    result = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == code, (arguments, result)
    return result


def check_help():
    for arguments in ((), ("inspect",), ("convert",), ("draw",), ("compare",), ("summary",), ("models",), ("look",), ("draw", "conv"), ("draw", "transposed"), ("draw", "network"), ("draw", "field")):
        text = convkit(*arguments, "--help").stdout
        assert text.startswith("Example: convkit "), text
    for arguments in ((), ("nonsense",), ("inspect",), ("inspect", "a", "b"), ("inspect", "a", "--no-such-option"),
                      ("convert", "a"), ("models", "a"), ("compare", "resnet18"), ("summary", "resnet18"), ("summary", "resnet18", "--input", "1,3,0,64"), ("summary", "resnet18", "--input", "1,3,64"), ("compare", "resnet-18", "/dev/null"), ("convert", "a", "b.pt", "--strip-prefix", "")):
        result = convkit(*arguments, code=2)
        assert result.stdout == "" and result.stderr, (arguments, result)


def check_models():
    """That the numbers and addresses are Python's is what tests/parity/descriptions.py checks."""
    names = [network["name"] for network in json.loads(convkit("models", "--json").stdout)]
    assert len(names) == len(set(names)) >= 85, names
    lines = convkit("models").stdout.splitlines()
    assert "torchvision.models.resnet" in lines, lines
    assert [line.split()[0] for line in lines if line.startswith("  ")] == names, lines
    assert "  resnet18                           11,689,512    1,814,073,344  1,3,224,224" in lines, lines
    said = convkit("models", "resnet18").stdout
    assert said.endswith("/resnet18-f37072fd.pth\n  its SHA-256 begins with f37072fd\n"), said
    assert "no published weights" in convkit("models", "unet_resnet18").stdout
    assert [network["name"] for network in json.loads(convkit("models", "vgg16", "--json").stdout)] == ["vgg16"]
    for options in ((), ("--json",)):
        assert "the nearest are resnet18, " in convkit("models", "resnet-18", *options, code=2).stderr


def check_identity(folder):
    """inspect says which network a file belongs to, whatever its head, and none for one that only looks like it."""
    def identity(state, name="network.pth"):
        torch.save(state, folder / name)
        said = json.loads(convkit("inspect", folder / name, "--json").stdout)
        return said.get("network"), said.get("named_as")

    vision = torchvision.models
    resnet = vision.resnet18(num_classes=10).state_dict()
    trained = {"epoch": 3, "model": {f"module.{key}": value for key, value in resnet.items()}}
    assert identity(trained)[0] == {"name": "resnet18", "prefix": "model.module.", "num_classes": 10}
    lines = convkit("inspect", folder / "network.pth").stdout.splitlines()
    assert "network: resnet18 with num_classes 10 under model.module." in lines, lines
    old = {key: value for key, value in vision.resnet18().state_dict().items() if "num_batches" not in key}
    assert identity(old, "resnet18-f37072fd.pth") == ({"name": "resnet18", "prefix": ""}, "IMAGENET1K_V1 of resnet18")
    assert identity(vision.resnext50_32x4d().state_dict())[0]["name"] == "resnext50_32x4d"
    assert identity(vision.googlenet(aux_logits=False, init_weights=False).state_dict())[0]["name"] == "googlenet"
    segmenter = vision.get_model("deeplabv3_mobilenet_v3_large", weights_backbone=None, num_classes=5, aux_loss=True)
    assert identity(segmenter.state_dict())[0]["num_classes"] == 5
    small = vision.squeezenet1_1().state_dict()
    for key, value in (("features.0.weight", torch.zeros(64, 3, 5, 5)), ("classifier.1.bias", torch.zeros(11)),
                       ("features.0.bias", torch.zeros(())), ("extra", torch.zeros(1))):
        assert identity({**small, key: value})[0] is None, key
    # Keys that begin with a dot, and the largest network's number of tensors.
    assert identity({f".{key}": value for key, value in small.items()})[0] == {"name": "squeezenet1_1", "prefix": "."}
    assert identity({f"l{i}.weight": torch.ones(2) for i in range(540)})[0] is None
    assert identity({})[0] is None and identity({"a.b.c": torch.zeros(2)})[0] is None


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
    flat = json.loads(convkit(*arguments, "--json", "--depth", "1").stdout)
    assert flat["macs"] == result["macs"] and max(layer["depth"] for layer in flat["layers"]) == 1
    check_weights(arguments, folder)


def check_weights(arguments, folder):
    """Errors name the file; a recording gives the weights that it was made with."""
    file = folder / "other.safetensors"
    for metadata, key in ((None, "fc.weight"), ({"recording": "{}"}, "state_dict/fc.weight")):
        save_file({key: torch.zeros(3, 2)}, file, metadata)
        said = convkit(*arguments, "--weights", file, code=2).stderr
        assert said.startswith(f"convkit: --weights {file}: Error(s) in loading state_dict for ResNet:"), said
        assert "Missing key(s)" in said and "size mismatch for fc.weight" in said and "Unexpected" not in said, said
    assert str(file) + "x" in convkit(*arguments, "--weights", f"{file}x", code=2).stderr

    state = torchvision.models.resnet18().state_dict()
    for prefix, metadata in (("", None), ("state_dict/", {"recording": "{}"})):
        save_file({prefix + key: value for key, value in state.items()} | ({"input/#0/0": torch.ones(1)} if prefix else {}), file, metadata)
        assert convkit(*arguments, "--weights", file).stdout == convkit(*arguments).stdout


def check_recordings(folder):
    """What a recording says wrongly is said in words, with the file's name."""
    file = folder / "recording.safetensors"
    good = {"version": 1, "torch": "2", "cpu": "A", "memory_format": "contiguous", "threads": 1, "seed": 0, "classes": {},
            "never_called": [], "fresh": {}, "strides": {}, "calls": []}
    for changed, words in (({"memory_format": "banana"}, 'expected memory_format contiguous or channels_last, got "banana"'),
                           ({"threads": "1"}, 'expected a whole number for threads, got "1"'),
                           ({"fresh": [1]}, "expected an object of whole numbers for fresh, got [1]")):
        save_file({"state_dict/a": torch.ones(1)}, file, {"recording": json.dumps(good | changed)})
        said = convkit("compare", "resnet18", file, code=2).stderr
        assert said == f"convkit: load_recording: {file} is no recording of record.py: {words}\n", said


def check_photograph(folder):
    """What record.py recorded of a photograph, in an .npy file as numpy orders one, is what the network here computes."""
    here = Path(__file__).resolve().parent
    photo, file = folder / "photo.npy", folder / "resnet18.safetensors"
    image = load_sample_image("china.jpg")[100:228, 200:360].transpose(2, 0, 1)[None]
    numpy.save(photo, (image / 255 - 0.45).astype("float32", order="F"))
    subprocess.run([sys.executable, here / "record.py", f"{here.parents[1]}/tests/parity/recorded.py:resnet18", "--input", photo,
                    "-o", file], check=True, capture_output=True)
    assert torch.equal(load_file(file)["input/#0/0"], torch.tensor(numpy.load(photo)))
    printed = convkit("compare", "resnet18", file).stdout
    assert printed == "layers: 76 of 76 equal\nend to end: equal\nequal\n", printed


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

    assert "model (3 tensors)" in convkit("convert", training, flat, code=2).stderr.replace('"', "")
    result = convkit("convert", training, flat, "--at", "model", "--strip-prefix", "module.")
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

    torch.save({"generator": state, "critic": {"w": weight}}, training)
    for arguments in (("convert", training, back), ("summary", "resnet18", "--input", "1,3,64,64", "--weights", training)):
        assert convkit(*arguments, code=2).stderr == (
            f'convkit: load_checkpoint: {training}: expected one state_dict, got "generator" (3 tensors), "critic" (1 tensor): '
            "choose by --at generator\n")
    assert "Missing key(s)" in convkit("summary", "resnet18", "--input", "1,3,64,64", "--weights", training, "--at", "critic", code=2).stderr
    for key in ("nothing", "generator.module", "generator.module.a.x"):
        assert "expected --at to be a member" in convkit("convert", training, back, "--at", key, code=2).stderr
    assert "expected names that begin with --at and a dot" in convkit("convert", flat, back, "--at", "x", code=2).stderr


def check_shards(folder):
    """Both ways, and huggingface_hub reads what was written."""
    whole, split, again = folder / "all.safetensors", folder / "split.safetensors", folder / "again.safetensors"
    save_file({f"layers.{i}.weight": torch.randn(1000) for i in range(5)}, whole, {"format": "pt"})
    assert convkit("convert", whole, split, "--max-shard-size", "8KB").stderr == ""
    index = folder / "split.safetensors.index.json"
    assert len(set(json.loads(index.read_text())["weight_map"].values())) == 3
    printed = convkit("inspect", index).stdout
    assert "layers.4.weight  float32  [1000]          4,000" in printed and "  total_size: 20000\n" in printed, printed
    convkit("convert", index, again)
    assert again.read_bytes() == whole.read_bytes()
    for bad in ("0", "x", "-5"):
        convkit("convert", whole, split, "--max-shard-size", bad, code=2)
    assert "expected no max_shard_size for a .pt" in convkit("convert", whole, folder / "a.pt", "--max-shard-size", "5", code=2).stderr
    (folder / "split-00002-of-00003.safetensors").unlink()
    assert "split-00002-of-00003.safetensors: No such file" in convkit("inspect", index, code=2).stderr


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
    check_shards(Path(name))
    check_terminal(Path(name))
    check_models()
    check_identity(Path(name))
    check_summary(Path(name))
    check_recordings(Path(name))
    check_photograph(Path(name))
    check_inspect(Path(name))
    check_convert(Path(name))
print("inspect, convert, models and summary behave")
