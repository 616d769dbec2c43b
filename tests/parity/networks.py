"""What Python's networks give: networks.py FOLDER NAME@HEIGHTxWIDTH,... ...

Writes FOLDER/NAME.safetensors: the weights under "state/" and for each size, under its index, the input and the
outputs. Its metadata "network" is JSON: of large tensors, the first weights and the gradients, a hash each.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import os
import sys

import segmentation_models_pytorch as smp
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SEED = 20

# By the names of tests/models/networks_test.cpp, networks with options of their own.
VARIANTS = {
    "resnet50_dilated": lambda: torchvision.models.resnet50(
        num_classes=7, replace_stride_with_dilation=[False, True, True], zero_init_residual=True),
    "resnet18_group_norm": lambda: torchvision.models.resnet18(
        num_classes=7, norm_layer=lambda channels: nn.GroupNorm(16, channels)),
    "resnet18_frozen": lambda: torchvision.models.resnet18(norm_layer=torchvision.ops.FrozenBatchNorm2d),
    "mobilenet_v2_narrow": lambda: torchvision.models.mobilenet_v2(
        num_classes=7, width_mult=0.35, round_nearest=4, dropout=0.5),
    "mobilenet_v3_small_tail": lambda: torchvision.models.mobilenet_v3_small(
        num_classes=7, width_mult=0.75, reduced_tail=True, dilated=True, dropout=0.5),
    "efficientnet_b0_options": lambda: torchvision.models.efficientnet_b0(
        num_classes=7, dropout=0.5, stochastic_depth_prob=0.6, norm_layer=lambda channels: nn.GroupNorm(8, channels)),
    "convnext_tiny_options": lambda: torchvision.models.convnext_tiny(
        num_classes=7, stochastic_depth_prob=0.5, layer_scale=0.3),
    "unet_options": lambda: smp.Unet(
        "resnet18", encoder_weights=None, encoder_depth=4, decoder_use_norm=False, decoder_channels=(64, 48, 32, 16),
        decoder_attention_type="scse", decoder_interpolation="bilinear", in_channels=4, classes=3, activation="sigmoid"),
}


def build(name):
    """The network, and its published number of parameters, None without one."""
    if name in VARIANTS:
        return VARIANTS[name](), None
    if name.startswith("unet_"):
        return smp.Unet(name.removeprefix("unet_"), encoder_weights=None), None
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]
    return torchvision.models.get_model(name, weights=None), published


def hashed(tensor):
    """Of the bits: no two tensors that differ in one number have the same."""
    bits = tensor.detach().contiguous().reshape(-1).view(torch.int32).to(torch.int64)
    return (bits * (2 * torch.arange(bits.numel()) + 1)).sum().item()


def settle(network, x):
    """Values of its own for every tensor, and statistics that keep the maps near 1: a fresh network is nearly dead."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("weight") and value.dim() == 1:
                value.uniform_(0.5, 1.5)
            elif name.endswith("bias") or name.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif name.endswith("running_var"):
                value.uniform_(0.8, 1.2)
            elif name.endswith("layer_scale"):
                value.uniform_(0.1, 0.5)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        network.train()(x)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


def maps(network, x):
    """The last map of each size, and the last of all."""
    if isinstance(network, torchvision.models.ResNet):
        found = [network.relu(network.bn1(network.conv1(x)))]
        y = network.maxpool(found[0])
        for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
            y = layer(y)
            found.append(y)
        return found
    found, y = [], None
    for layer in getattr(network, "features", []):
        before, y = y, layer(x if y is None else y)
        if before is not None and y.shape[2:] != before.shape[2:]:
            found.append(before)
    return found + [y] if y is not None else []


def step(network, x):
    """The outputs in eval mode, and of a training step, as tensors and as hashes."""
    network.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            tensors = {"x": x, "eval_output": network(x)}
        for i, value in enumerate(maps(network, x)):
            tensors[f"map/{i}"] = value

    network.train()
    network.zero_grad()
    torch.manual_seed(SEED + 1)
    x = x.clone().requires_grad_()
    y = network(x)
    tensors["train_output"] = y.detach()
    tensors["gradient"] = torch.randn(y.shape)
    y.backward(tensors["gradient"])
    hashes = {"flops": counter.get_total_flops(), "input_gradient": hashed(x.grad),
              "gradients": [0 if p.grad is None else hashed(p.grad) for p in network.parameters()],
              "trained_once": [hashed(value) for value in network.state_dict().values()]}
    return tensors, hashes


def record(name, sizes, file):
    torch.manual_seed(SEED)
    network, published = build(name)
    result = {"torch": str(torch.__version__), "name": name, "seed": SEED, "keys": list(network.state_dict()),
              "parameters": sum(parameter.numel() for parameter in network.parameters()),
              "initial": [hashed(value) for value in network.state_dict().values()], "steps": []}
    assert published in (None, result["parameters"]), published

    channels = 4 if name == "unet_options" else 3
    inputs = [torch.randn(2, channels, *size) for size in sizes]
    settle(network, inputs[0])
    tensors = {f"state/{key}": value.detach().clone() for key, value in network.state_dict().items()}
    for i, x in enumerate(inputs):
        found, hashes = step(network, x)
        tensors |= {f"{i}/{key}": value.contiguous() for key, value in found.items()}
        result["steps"].append(hashes)

    save_file(tensors, file + ".partial", {"network": json.dumps(result)})
    os.replace(file + ".partial", file)
    print(f"{name}: {result['parameters']} parameters, {len(result['keys'])} tensors by torch {torch.__version__}")


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for given in sys.argv[2:]:
        name, sizes = given.split("@")
        sizes = [tuple(int(n) for n in size.split("x")) for size in sizes.split(",")]
        record(name, sizes, f"{folder}/{name}.safetensors")


if __name__ == "__main__":
    main()
