"""maps_test.py CONVKIT: `convkit look` and `convkit draw field` against what Python's network makes of a photograph."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, isort: skip

import numpy as np
import torch
import torchvision
from PIL import Image

TOOL = os.path.abspath(sys.argv[1])
PHOTO = Path(__file__).resolve().parent.parent / "qa" / "chelsea.jpg"
COLORS = np.array([[0x44, 0x01, 0x54], [0x47, 0x2d, 0x7b], [0x3b, 0x52, 0x8b], [0x2c, 0x72, 0x8e], [0x21, 0x91, 0x8c],
                   [0x28, 0xae, 0x80], [0x5e, 0xc9, 0x62], [0xad, 0xdc, 0x30], [0xfd, 0xe7, 0x25]], float)
MARGIN, LINE = 16, 20


def convkit(*arguments, code=0):
    result = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert result.returncode == code and (code or result.stdout == ""), (arguments, result)
    return result


def viridis(values):
    places = np.clip(values, 0, 1) * 8
    return np.stack([np.interp(places, range(9), COLORS[:, i]) for i in range(3)], -1)


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB")).astype(float)


def check_maps(network, image, layer, *options, count, weights=("--weights", "resnet18.pth")):
    """Each map is Python's, from its least value to its largest."""
    outputs = []
    handle = network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
    with torch.no_grad():
        network(image)
    handle.remove()
    maps = outputs[0][0].numpy()
    convkit("look", "resnet18", *weights, "--image", PHOTO, "--layer", layer, "-o", "maps.png", *options)
    picture = pixels("maps.png")
    side = maps.shape[-1]
    factor = max(1, (160 + side // 2) // side)
    tile = max(side * factor, 160)
    rows = -(-count // (1500 // (tile + MARGIN)))
    columns = max(4, -(-count // rows))
    assert picture.shape[1] == MARGIN + columns * (tile + MARGIN), picture.shape
    seen = 224
    top, row = seen + 2 * MARGIN + LINE, side * factor + 2 * LINE + MARGIN
    assert picture.shape[0] == top + rows * row + MARGIN // 2, picture.shape
    for channel in range(count):
        values = maps[channel]
        values = (values - values.min()) / max(values.max() - values.min(), 1e-30)
        expected = viridis(np.kron(values, np.ones((factor, factor))))
        y, x = top + channel // columns * row, MARGIN + channel % columns * (tile + MARGIN)
        shown = picture[y:y + side * factor, x:x + side * factor]
        assert abs(shown - expected).max() <= 1, (layer, channel, abs(shown - expected).max())
        below = picture[y + side * factor:y + row - MARGIN // 2, x:x + tile]
        assert (below == 0x22).all(-1).sum() > 100, "no caption"
    return picture


def check_field(network, image, layer, place, sizes):
    """The frame is the summary's receptive field, and the colours are Python's gradient."""
    layers = json.loads(convkit_text("summary", "resnet18", "--input", "1,3,224,224", "--json"))["layers"]
    field = next(entry["receptive_field"] for entry in layers if entry["path"] == layer)
    outputs = []
    handle = network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
    x = image.clone().requires_grad_()
    network(x)
    handle.remove()
    y_at, x_at = place
    assert tuple(outputs[0].shape[2:]) == sizes
    gradient, = torch.autograd.grad(outputs[0][0, :, y_at, x_at].sum(), x)
    weights = gradient[0].abs().sum(0).numpy()
    convkit("draw", "field", "resnet18", "--weights", "resnet18.pth", "--image", PHOTO, "--layer", layer, "--place",
            f"{y_at},{x_at}", "-o", "field.png")
    picture = pixels("field.png")
    region = [(start + at * stride, size) for start, stride, size, at in zip(field["start"], field["stride"], field["size"], place)]
    rooms = [(min(max(-start, 0), 224), min(max(start + size - 224, 0), 224)) for start, size in region]
    factor = 2
    height, width = ((before + 224 + after) * factor for before, after in rooms)
    top = 30 + 3 * 28
    assert picture.shape[0] == top + height + 20, picture.shape
    for left in (20, 40 + width):
        red = (picture[top:top + height, left:left + width] == (0xd5, 0x5e, 0x00)).all(-1)
        rows, columns = (np.flatnonzero(red.any(axis)) for axis in (1, 0))
        for found, (start, size), (before, after) in ((rows, region[0], rooms[0]), (columns, region[1], rooms[1])):
            first = max((before + start) * factor, 0)
            last = min((before + start + size) * factor, (before + 224 + after) * factor) - 1
            assert (found[0], found[-1]) == (first, last), (layer, found[0], found[-1], first, last)
    share = np.sqrt(weights / weights.max())
    grey = np.asarray(seen_by(image)).mean(-1, keepdims=True) * 0.5 + 120
    cover = np.clip(share * 3, 0, 0.9)[..., None]
    expected = np.kron(grey * (1 - cover) + viridis(share) * cover, np.ones((factor, factor, 1)))
    y, x = top + rooms[0][0] * factor, 40 + width + rooms[1][0] * factor
    shown = picture[y:y + 448, x:x + 448]
    framed = (shown == (0xd5, 0x5e, 0x00)).all(-1)
    assert abs(shown - expected)[~framed].max() <= 2, abs(shown - expected)[~framed].max()
    assert share.max() == 1 and (weights == 0).any() or layer == "layer4"
    return weights


def seen_by(image):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return ((image[0] * std + mean).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()


def convkit_text(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=True).stdout


def check_refused():
    look = ("look", "resnet18", "--image", PHOTO, "-o", "refused.png")
    field = ("draw", "field", "resnet18", "--image", PHOTO, "-o", "refused.png")
    unknown = "--layer: expected a layer of resnet18, got layer1.0.conv9; the nearest are layer1.0.conv1, layer1.0.conv2 and layer1.1.conv1"
    unseen = "--layer: expected a layer whose calls are seen: one with weights or parts, or in a Sequential, got relu; the nearest are "
    flat = "--layer: expected a layer that gives maps, [1, C, H, W], got fc, which gives [1, 1000]"
    for arguments, words in (
            ((*look, "--layer", "layer1.0.conv9"), unknown), ((*field, "--layer", "layer1.0.conv9"), unknown),
            ((*look, "--layer", "relu"), unseen), ((*field, "--layer", "relu"), unseen),
            ((*look, "--layer", "fc"), flat), ((*field, "--layer", "fc"), flat),
            ((*look, "--layer", ""), '--layer: expected a layer of resnet18, got ""; the nearest are '),
            ((*look, "--layer", "a\x1b[31m"), r'got "a\u001b[31m"; the nearest'),
            ((*field, "--layer", "layer2", "--place", "3,28"), "--place: expected Y,X within layer2's 28 x 28 places, got 3,28"),
            ((*field, "--layer", "layer2", "--place", "3"), "--place"), ((*look, "--layer", "layer2", "--channels", "0"), "--channels"),
            ((*look[:2], "--image", "none.jpg", "-o", "refused.png", "--layer", "conv1"), "read_image: cannot open none.jpg: No such file or directory"),
            ((*look[:2], "--image", "text.png", "-o", "refused.png", "--layer", "conv1"), "text.png"),
            ((*look[:2], "--image", "wide.png", "-o", "refused.png", "--layer", "conv1"),
             "--image: expected an image of which the preset makes at most 178956970 pixels, got wide.png of 9000 x 1"),
            (("look", "r3d_18", *look[2:], "--layer", "stem"), "MODEL: expected a network of images, got r3d_18, which is one of videos"),
            (("look", "unet_resnet18", *look[2:], "--layer", "encoder.conv1"), "unet_resnet18"),
            (("look", "resnet-18", *look[2:], "--layer", "conv1"), "the nearest are resnet18, resnet34 and resnet50"),
            ((*look, "--layer", "conv1", "--preset", "NONE"), "NONE"),
            ((*look, "--layer", "conv1", "--weights", "none.pth"), "none.pth")):
        result = convkit(*arguments, code=2)
        assert words in result.stderr and (words.startswith("--") or result.stderr.count("\n") == 1) and "\x1b" not in result.stderr, (words, result.stderr)
        assert not Path("refused.png").exists()
    assert "cannot write no/such.png: No such file or directory" in convkit(*look[:-1], "no/such.png", "--layer", "conv1", code=2).stderr
    small = subprocess.run(["bash", "-c", f"trap '' XFSZ; ulimit -f 4; exec {TOOL} look resnet18 --image {PHOTO} --layer conv1 -o maps.png"],
                           capture_output=True, text=True)
    assert small.returncode == 2 and "cannot write maps.png: " in small.stderr, small


def check_page():
    """The page shows what the commands above its pictures draw; another processor may round colours otherwise."""
    page = Path(__file__).resolve().parent
    commands = re.findall(r"^convkit (look|draw field) (.*) -o (\S+)\n```\n\n!\[.*\]\(pictures/\3\)", (page / "README.md").read_text(), re.M)
    assert [kind for kind, _, _ in commands] == ["look", "draw field"], commands
    for kind, arguments, file in commands:
        convkit(*kind.split(), *arguments.replace("apps/qa/chelsea.jpg", str(PHOTO)).split(), "-o", "shown.png")
        shown, stored = pixels("shown.png"), pixels(page / "pictures" / file)
        assert shown.shape == stored.shape and abs(shown - stored).mean() < 0.5, f"{file} is another picture"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), "resnet18.pth")
    preset = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    image = preset(Image.open(PHOTO))[None]
    first = check_maps(network, image, "layer1.0.conv1", count=64)
    assert abs(first[MARGIN:MARGIN + 224, MARGIN:MARGIN + 224] - seen_by(image)).max() == 0, "another photograph"
    check_maps(network, image, "conv1", "--channels", 3, count=3, weights=())  # those of the same seed
    check_maps(network, image, "layer4", "--channels", 20, count=20)
    check_field(network, image, "layer2", (14, 14), (28, 28))
    check_field(network, image, "layer1.0.conv1", (0, 55), (56, 56))
    check_field(network, image, "layer4", (3, 3), (7, 7))
    Path("text.png").write_text("no picture\n")
    Image.new("L", (9000, 1)).save("wide.png")
    before = Path("maps.png").read_bytes()
    check_refused()
    check_page()
    assert Path("maps.png").read_bytes() == before and not list(Path().glob(".*partial"))
print("look and draw field: pictures as they should be")
