"""network_test.py CONVKIT: `convkit draw network` against the summary, and against Python's graphs of the same networks."""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, isort: skip

import torch.fx
import torchvision

from drawn import SVG, box_of

TOOL = os.path.abspath(sys.argv[1])


def convkit(*arguments, code=0):
    result = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert result.returncode == code, (arguments, result)
    return result


class Box:
    """A box of the picture, and what is in it."""

    def __init__(self, group):
        self.path, self.kind = group.get("data-path"), group.get("class")
        self.hint = group.find(SVG + "title").text
        self.rect = box_of(group.find(SVG + "rect"))
        self.texts = group.findall(SVG + "text")
        self.words = " ".join("".join(text.itertext()) for text in self.texts[:1])
        self.parts, self.edges = parts_of(group)

    def all(self):
        return itertools.chain([self], *(part.all() for part in self.parts))


def parts_of(group):
    parts = [Box(inner) for inner in group.findall(SVG + "g") if inner.get("class") != "flow"]
    flow = [inner for inner in group.findall(SVG + "g") if inner.get("class") == "flow"]
    edges = {(path.get("data-from"), path.get("data-to")) for inner in flow for path in inner.findall(SVG + "path")}
    def name(place):
        return place if place in ("in", "out") else parts[int(place)].path or parts[int(place)].words
    return parts, {(name(a), name(b)) for a, b in edges}


def drawn(network, *options):
    convkit("draw", "network", network, *options, "-o", "network.svg")
    text = Path("network.svg").read_text()
    assert not re.search(r"script|href|url\(|@import|<image|foreignObject|<!|\bon[a-z]+=", text)
    root = ElementTree.fromstring(text)
    width, height = (int(number) for number in root.get("viewBox").split()[2:])
    assert 0.33 < width / height < 3, (network, width, height)
    assert int(root.get("width")) <= 1120
    content = root.find(SVG + "g")
    parts, edges = parts_of(content)
    left, top = map(int, re.fullmatch(r"translate\((\d+),(\d+)\)", content.get("transform")).groups())
    check_places(network, parts, (-left, -top, width, height))
    words = " ".join(text.text for text in root.iter(SVG + "text") if text.text)
    return parts, edges, words


def check_places(network, parts, outer):
    """Each box is in the one that it belongs to, beside the others, and its words are in it."""
    for part in parts:
        x, y, width, height = part.rect
        assert outer[0] <= x and outer[1] <= y, (network, part.path)
        assert x + width <= outer[0] + outer[2] and y + height <= outer[1] + outer[3], (network, part.path)
        for text in part.texts:
            size, at = int(text.get("font-size")), int(text.get("x"))
            wide = len("".join(text.itertext())) * size * 0.58
            begin = at - wide / 2 if text.get("text-anchor") == "middle" else at
            assert x <= begin and begin + wide <= x + width, (network, part.path, "".join(text.itertext()))
            assert y <= int(text.get("y")) - 0.7 * size and int(text.get("y")) + 0.2 * size <= y + height
        check_places(network, part.parts, part.rect)
    for a, b in itertools.combinations([part.rect for part in parts], 2):
        assert a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1], (network, a, b)


def commas(number):
    return f"{number:,}"


def check_numbers(network, parts):
    """Each module that ran has its box, with the numbers of the summary."""
    size = json.loads(convkit("models", network, "--json").stdout)[0]["input"]
    summary = json.loads(convkit("summary", network, "--input", ",".join(map(str, size)), "--json").stdout)
    boxes = {}
    for box in itertools.chain(*(part.all() for part in parts)):
        boxes.setdefault(box.path, box)
    for layer in summary["layers"][1:]:
        box = boxes.get(layer["path"])
        if box is None:
            assert layer["calls"] == 0 or layer["inferred"], (network, layer)
            continue
        assert box.hint.startswith(f"{layer['path']}: {layer['type']}\n"), box.hint
        said = dict(re.findall(r"^(parameters|MACs) (.*)$", box.hint, re.M))
        expected = {"parameters": layer["parameters"], "MACs": layer["macs"]}
        assert said == {name: commas(number) for name, number in expected.items() if number}, (network, layer, box.hint)
        if layer["output"]:
            assert f"output [{', '.join(map(str, layer['output'][0]))}]" in box.hint, (layer, box.hint)
    return summary


def check_operators(network, parts):
    """As many sums and joints as torch.fx finds in Python's network."""
    module = getattr(torchvision.models, network)(weights=None, **({"init_weights": False} if network == "googlenet" else {})).eval()
    nodes = [node for node in torch.fx.symbolic_trace(module).graph.nodes if node.op in ("call_function", "call_method")]
    names = [getattr(node.target, "__name__", node.target) for node in nodes]
    words = [box.words for box in itertools.chain(*(part.all() for part in parts)) if box.kind == "operator"]
    assert words.count("+") == sum(name in ("add", "iadd", "add_", "iadd") for name in names), (network, words.count("+"))
    assert words.count("concat") == names.count("cat"), (network, words.count("concat"))


def check_flow():
    """Around a block of ResNet, and in it."""
    parts, edges, words = drawn("resnet18")
    assert edges == {("in", "conv1"), ("conv1", "bn1"), ("bn1", "relu"), ("relu", "maxpool"), ("maxpool", "layer1"),
                     ("layer1", "layer2"), ("layer2", "layer3"), ("layer3", "layer4"), ("layer4", "avgpool"),
                     ("avgpool", "reshape"), ("reshape", "fc"), ("fc", "out")}, edges
    block = {box.path: box for part in parts for box in part.all()}["layer2.0"]
    names = {(a.removeprefix("layer2.0."), b.removeprefix("layer2.0.")) for a, b in block.edges}
    assert names == {("in", "conv1"), ("conv1", "bn1"), ("bn1", "relu"), ("relu", "conv2"), ("conv2", "bn2"), ("bn2", "+"),
                     ("in", "downsample"), ("downsample", "+"), ("+", "relu"), ("relu", "out")}, names
    kinds = {box.path: box.kind for part in parts for box in part.all() if box.path}
    assert (kinds["conv1"], kinds["bn1"], kinds["relu"], kinds["maxpool"], kinds["layer1"], kinds["fc"]) == (
        "convolution", "norm", "activation", "pooling", "parts", "linear"), kinds
    assert "11,689,512 parameters, 1,814,073,344 MACs" in words and "normalisation" in words, words
    parts, _, _ = drawn("resnet18", "--depth", "1", "--input", "2,3,64,64", "--num-classes", "7")
    assert not any(part.parts for part in parts)
    assert "output [2, 7]" in parts[-1].hint, parts[-1].hint


def check_refused():
    for arguments, words in (
            (("resnet-18",), 'models::create: expected the name of a network, got "resnet-18"; the nearest are resnet18, resnet34 and resnet50'),
            (("resnet18", "--depth", "0"), "--depth"), (("resnet18", "--input", "1,3,64"), "--input"),
            (("resnet18", "--weights", "none.pth"), "none.pth"),
            (("resnet18", "--input", "1,4,64,64"), "ResNet: expected input [N, 3, H, W], got [1, 4, 64, 64]")):
        result = convkit("draw", "network", *arguments, "-o", "refused.svg", code=2)
        assert words in result.stderr and result.stdout == "", (words, result)
        assert not Path("refused.svg").exists()
    assert "cannot write no/such.svg: No such file or directory" in convkit(
        "draw", "network", "squeezenet1_1", "-o", "no/such.svg", code=2).stderr


def check_page():
    """The page shows what the command above its picture draws."""
    page = Path(__file__).resolve().parent
    arguments, file = re.search(r"^convkit draw network (.*) -o (\S+)\n```\n\n!\[.*\]\(pictures/\2\)", (page / "README.md").read_text(), re.M).groups()
    convkit("draw", "network", *arguments.split(), "-o", "shown.svg")
    assert Path("shown.svg").read_bytes() == (page / "pictures" / file).read_bytes(), f"{file} is another picture"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check_flow()
    networks = sys.argv[2:] or ["resnet18", "googlenet", "densenet121", "mobilenet_v3_small", "shufflenet_v2_x0_5", "unet_resnet18",
                                "deeplabv3_mobilenet_v3_large", "convnext_tiny", "efficientnet_b0", "r3d_18"]
    for network in networks:
        parts, _, _ = drawn(network)
        check_numbers(network, parts)
        if network in ("resnet18", "googlenet", "mobilenet_v3_small", "shufflenet_v2_x0_5"):
            check_operators(network, parts)
    check_refused()
    check_page()
print("draw network: pictures as they should be")
