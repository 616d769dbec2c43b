"""The preprocessing of every network that has one in Python: presets.py FILE writes what it is and what it makes of a
photograph-like image, and presets.py --rows prints the rows of src/image/preset_rows.cpp.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import math
import pathlib
import re
import sys

import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from torchvision.transforms.v2 import functional as v2

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"
STATISTICS = {  # how a row calls them
    "kImageNet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "kHalf": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "kFeatures": ([0.48235, 0.45882, 0.40784], [0.00392156862745098] * 3),  # of VGG without its classifier
    "kKinetics": ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]),
}


def names():
    """Of all networks, in their order."""
    return re.findall(r'^ +\{"([a-z0-9_]+)", \{', (SOURCES / "models" / "descriptions.cpp").read_text(), re.M)


def of_torchvision(name):
    """(weights, fields, function) for each set of weights, DEFAULT first."""
    every = torchvision.models.get_model_weights(name)
    for weights in sorted(every, key=lambda weights: weights != every.DEFAULT):
        transforms = weights.transforms()
        kind = type(transforms).__name__
        assert kind in {"ImageClassification", "SemanticSegmentation", "VideoClassification"}, kind
        assert getattr(transforms, "antialias", True) is True
        yield weights.name, {
            "kind": kind, "resize": transforms.resize_size or [], "crop": getattr(transforms, "crop_size", []),
            "interpolation": transforms.interpolation.value, "mean": transforms.mean, "std": transforms.std,
        }, transforms


def of_timm(name):
    default = timm.get_pretrained_cfg(name).tag
    for known in sorted(timm.list_pretrained(f"{name}.*"), key=lambda known: known != f"{name}.{default}"):
        config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(known).to_dict())
        assert config["crop_mode"] == "center" and config["input_size"][1] == config["input_size"][2], config
        side = config["input_size"][1]
        yield known.partition(".")[2], {
            "kind": "ImageClassification", "resize": [math.floor(side / config["crop_pct"])], "crop": [side],
            "interpolation": config["interpolation"], "mean": list(config["mean"]), "std": list(config["std"]),
        }, create_transform(**config)


def presets():
    for name in names():
        if name in torchvision.models.list_models():
            found = of_torchvision(name)
        elif timm.is_model(name):
            found = of_timm(name)
        else:
            continue
        for row in found:
            yield name, *row


def rows():
    for name, weights, fields, _ in presets():
        statistics = next(key for key, value in STATISTICS.items() if value == (fields["mean"], fields["std"]))
        sides = [", ".join(map(str, fields[key])) for key in ("resize", "crop")]
        kind = re.sub("Image|Semantic|Video(.*)", lambda found: "Video" if found[1] is not None else "", fields["kind"])
        print(f'      {{"{name}", "{weights}", k{kind}, {{{sides[0]}}}, {{{sides[1]}}}, '
              f'k{fields["interpolation"].capitalize()}, {statistics}}},')


def write(file):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    image = (torch.rand(3, 25, 33) * 200).to(torch.uint8)
    image = v2.resize(image, [250, 331])
    clip = torch.randint(0, 256, (3, 3, 61, 83), dtype=torch.uint8)
    tensors, known, done = {"image": image, "clip": clip}, {}, {}
    for name, weights, fields, transforms in presets():
        text = json.dumps(fields)
        if text not in done:  # many sets of weights have the same
            done[text] = len(done)
            if fields["kind"] == "VideoClassification":
                tensors[f"{done[text]}.tensor"] = transforms(clip)
            else:
                tensors[f"{done[text]}.pillow"] = transforms(v2.to_pil_image(image))
                if name in torchvision.models.list_models():
                    tensors[f"{done[text]}.tensor"] = transforms(image)
        known.setdefault(name, []).append({"weights": weights, "result": done[text], **fields})
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, file, {"presets": json.dumps(known)})


rows() if sys.argv[1] == "--rows" else write(sys.argv[1])
