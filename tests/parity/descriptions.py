"""What Python says of the networks that have a name: descriptions.py TOOL compares it with `TOOL models --json`, and
descriptions.py --rows prints the rows of src/models/descriptions.cpp.

Networks are made on the meta device, which has no numbers, so that the largest takes no longer than the others.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import subprocess
import sys
import unittest.mock
import warnings

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.regnet import BlockParams

TORCHVISION = "https://download.pytorch.org/models/"
HUB = "https://huggingface.co/"
FRAMES = 16  # of the clips for which torchvision counts the operations of its video networks


def on_the_cpu(function):
    def wrapped(*arguments, **options):
        with torch.device("cpu"):
            return function(*arguments, **options)
    return wrapped


def build(name):
    """The network with fresh weights, its Python module, the size of its input, and its files of weights."""
    if name.startswith("unet_"):
        network = smp.Unet(name.removeprefix("unet_"), encoder_weights=None)
        return network, "segmentation_models_pytorch.Unet", [1, 3, 224, 224], []
    if name in timm.list_models(["mobilenetv1_100", "legacy_xception"]):
        network = timm.create_model(name)
        published = [timm.get_pretrained_cfg(known) for known in timm.list_pretrained(f"{name}.*")]
        files = [{"name": weight.tag, "url": weight.url or f"{HUB}{weight.hf_hub_id}/resolve/main/model.safetensors"}
                 for weight in published]
        return network, timm.models.model_entrypoint(name).__module__, [1, *published[0].input_size], files
    source = torchvision.models.get_model_builder(name).__module__
    heads = {"weights_backbone": None} if ".segmentation." in source else {}
    weights = list(torchvision.models.get_model_weights(name))
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    side = getattr(transforms, "crop_size", None) or transforms.resize_size
    frames = [FRAMES] if ".video." in source else []
    files = [{"name": weight.name, "url": weight.url} for weight in weights]
    return (torchvision.models.get_model(name, weights=None, **heads), source,
            [1, 3, *frames, side[0], side[-1]], files)


def describe(name):
    # RegNet computes its widths with tensors.
    widths = unittest.mock.patch.object(BlockParams, "from_init_params", on_the_cpu(BlockParams.from_init_params))
    with torch.device("meta"), widths, warnings.catch_warnings(action="ignore"):
        network, source, size, weights = build(name)
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(size, device="meta"))
    keys = [key for key in network.state_dict()
            if not key.endswith("num_batches_tracked") and not key.lower().startswith("aux")]
    return {"name": name, "source": source, "input": size,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "macs": counter.get_total_flops() // 2, "tensors": len(keys), "weights": weights}


def row(network):
    """As a row of the table: two lines, or one more for each further file of weights."""
    parameters, macs = (f"{network[key]:_}".replace("_", "'") for key in ("parameters", "macs"))
    size = ", ".join(map(str, network["input"][2:]))
    weights = ",\n          ".join(f'{{"{weight["name"]}", "{weight["url"].removeprefix(TORCHVISION)}"}}'
                                  for weight in network["weights"])
    return (f'        {{"{network["name"]}", {{{size}}}, {parameters}, {macs}, {network["tensors"]},\n'
            f'         {{{weights}}}}},')


def print_rows(names):
    source = None
    for network in map(describe, names):
        if network["source"] != source:
            print(("      }},\n" if source else "") + f'      {{"{network["source"]}", {{')
            source = network["source"]
        print(row(network))
    print("      }},")


if __name__ == "__main__":
    if sys.argv[1] == "--rows":
        print_rows(sys.argv[2:])
        sys.exit()
    said = json.loads(subprocess.run([sys.argv[1], "models", "--json"], capture_output=True, check=True).stdout)
    different = 0
    for network in said:
        for weight in network["weights"]:
            assert weight.pop("sha256") in weight["url"] and weight["url"].endswith(weight.pop("file")), weight
        expected = describe(network["name"])
        if network != expected:
            print(f"expected {expected}\ngot      {network}")
            different += 1
    print(f"{len(said) - different} of {len(said)} networks are described as Python has them")
    sys.exit(different != 0 or len(said) < 85)
