"""What Python's networks give: networks.py FOLDER NAME@HEIGHTxWIDTH,... ...

Writes FOLDER/NAME.safetensors: the weights under "state/" and for each size, under its index, the input and the
outputs. Its metadata "network" is JSON: of large tensors, the first weights and the gradients, a hash each.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import os
import sys
import unittest.mock

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from written_networks import Discriminator, EdsrModel, Generator

SEED = 20



def segmentation(name, **options):
    return torchvision.models.get_model(name, weights=None, weights_backbone=None, **options)


def mnasnet_of_version_1(alpha, **options):
    """As MNASNet makes itself when it loads a state_dict of version 1: its stem is that of alpha 1."""
    depths = torchvision.models.mnasnet._get_depths
    with unittest.mock.patch.object(torchvision.models.mnasnet, "_get_depths",
                                    lambda alpha: depths(1.0)[:2] + depths(alpha)[2:]):
        return torchvision.models.MNASNet(alpha, **options)


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
    "alexnet_options": lambda: torchvision.models.alexnet(num_classes=7, dropout=0.3),
    "vgg11_options": lambda: torchvision.models.vgg11(num_classes=7, init_weights=False, dropout=0.3),
    "densenet121_dropout": lambda: torchvision.models.densenet121(num_classes=7, bn_size=2, drop_rate=0.3),
    "mnasnet0_5_version_1": lambda: mnasnet_of_version_1(0.5, num_classes=7, dropout=0.3),
    "regnet_y_400mf_options": lambda: torchvision.models.regnet_y_400mf(
        num_classes=7, stem_width=16, activation=nn.SiLU, norm_layer=lambda channels: nn.GroupNorm(8, channels)),
    "googlenet_options": lambda: torchvision.models.googlenet(
        num_classes=7, transform_input=True, init_weights=False, dropout=0.5, dropout_aux=0.3),
    "inception_v3_plain": lambda: torchvision.models.inception_v3(
        num_classes=7, aux_logits=False, transform_input=True, init_weights=False, dropout=0.3),
    "fcn_resnet50_aux": lambda: segmentation("fcn_resnet50", num_classes=7, aux_loss=True),
    "deeplabv3_mobilenet_v3_large_aux": lambda: segmentation(
        "deeplabv3_mobilenet_v3_large", num_classes=7, aux_loss=True),
    "mobilenetv1_100_options": lambda: timm.models.efficientnet._gen_mobilenet_v1(
        "mobilenetv1_100h", 0.75, head_conv=True, num_classes=7, in_chans=4, drop_rate=0.3),
    "legacy_xception_options": lambda: timm.create_model("legacy_xception", num_classes=7, in_chans=4, drop_rate=0.3),
    "dcgan_generator": Generator,
    "dcgan_generator_options": lambda: Generator(nz=7, ngf=8, nc=1),
    "dcgan_discriminator": Discriminator,
    "dcgan_discriminator_options": lambda: Discriminator(nc=1, ndf=8),
    "edsr_base_x2": lambda: EdsrModel(scale=2),
    "edsr_base_x3": lambda: EdsrModel(scale=3),
    "edsr_base_x4": lambda: EdsrModel(scale=4),
    "edsr_options": lambda: EdsrModel(scale=4, n_resblocks=3, n_feats=8, res_scale=0.1, rgb_range=1.5,
                                      rgb_mean=(0.1, 0.2, 0.3), rgb_std=(2.0, 3.0, 0.7)),
    "edsr_body": lambda: EdsrModel(scale=2, n_resblocks=2, n_feats=8, n_colors=4, no_upsampling=True),
    "unet_options": lambda: smp.Unet(
        "resnet18", encoder_weights=None, encoder_depth=4, decoder_use_norm=False, decoder_channels=(64, 48, 32, 16),
        decoder_attention_type="scse", decoder_interpolation="bilinear", in_channels=4, classes=3, activation="sigmoid"),
}


# Of those that take no image of three colors.
CHANNELS = {"unet_options": 4, "mobilenetv1_100_options": 4, "legacy_xception_options": 4, "dcgan_generator": 100,
            "dcgan_generator_options": 7, "dcgan_discriminator_options": 1, "edsr_body": 4}


def build(name):
    """The network, and its published number of parameters, None without one."""
    if name in VARIANTS:
        return VARIANTS[name](), None
    if name.startswith("unet_"):
        return smp.Unet(name.removeprefix("unet_"), encoder_weights=None), None
    if name.startswith(("fcn_", "deeplabv3_", "lraspp_")):
        return segmentation(name), None
    if name in ("mobilenetv1_100", "legacy_xception"):
        return timm.create_model(name), None
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]
    # The weights of googlenet leave its auxiliary heads out of what they count.
    return torchvision.models.get_model(name, weights=None), None if name == "googlenet" else published


def hashed(tensor):
    """Of the bits: no two tensors that differ in one number have the same."""
    bits = tensor.detach().contiguous().reshape(-1).view(torch.int32).to(torch.int64)
    return (bits * (2 * torch.arange(bits.numel()) + 1)).sum().item()


def settle(network, x):
    """Values of its own for every tensor, and statistics that keep the maps near 1: a fresh network is nearly dead."""
    norms = [module for module in network.modules() if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d))]
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


def strided(network):
    """The network's layers in their order, and before which of them it gives its map."""
    models = torchvision.models
    if isinstance(network, models.ResNet):
        names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
        return names, ["maxpool", "layer2", "layer3", "layer4"]
    if isinstance(network, models.ShuffleNetV2):
        return ["conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"], ["maxpool", "stage2", "stage3", "stage4"]
    if isinstance(network, models.GoogLeNet):
        names = [name for name, _ in network.named_children() if name not in ("aux1", "aux2")]
        return names[:names.index("avgpool")], ["maxpool1", "maxpool2", "maxpool3", "maxpool4"]
    if isinstance(network, models.Inception3):
        names = [name for name, _ in network.named_children() if name != "AuxLogits"]
        return names[:names.index("avgpool")], ["maxpool1", "maxpool2", "Mixed_6a", "Mixed_7a"]
    return [], []


def maps(network, x):
    """The last map of each size, and the last of all; none of a video."""
    found, y = [], x
    if x.dim() != 4:
        return []
    if hasattr(network, "forward_intermediates"):  # timm's
        return network.forward_intermediates(x, intermediates_only=True)
    names, before = strided(network)
    if names:
        if getattr(network, "transform_input", False):
            y = network._transform_input(y)
        for name in names:
            if name in before:
                found.append(y)
            y = getattr(network, name)(y)
        return found + [y]
    layers = getattr(network, "features", getattr(network, "layers", []))
    if isinstance(network, torchvision.models.RegNet):
        layers = [network.stem, *network.trunk_output]
    for i, layer in enumerate(layers):
        given, y = y, layer(y)
        if i > 0 and y.shape[2:] != given.shape[2:]:
            found.append(given)
    return found + [y] if len(layers) else []


def named(network, result):
    """What a network gives, under Python's names; of one that gives a tensor it is `out`."""
    if isinstance(result, torch.Tensor):
        heads = (torchvision.models.GoogLeNet, torchvision.models.Inception3)  # several in training alone
        return {"logits" if isinstance(network, heads) else "out": result}
    return dict(result if isinstance(result, dict) else result._asdict())


def step(network, x):
    """The outputs in eval mode, and of a training step, as tensors and as hashes."""
    network.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            outputs = named(network, network(x))
        tensors = {"x": x} | {f"eval_output/{key}": y for key, y in outputs.items()}
        for i, value in enumerate(maps(network, x)):
            tensors[f"map/{i}"] = value

    network.train()
    network.zero_grad()
    torch.manual_seed(SEED + 1)
    x = x.clone().requires_grad_()
    outputs = named(network, network(x))
    gradients = [torch.randn(y.shape) for y in outputs.values()]
    tensors |= {f"train_output/{key}": y.detach() for key, y in outputs.items()}
    tensors |= {f"gradient/{key}": gradient for key, gradient in zip(outputs, gradients)}
    torch.autograd.backward(list(outputs.values()), gradients)
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

    inputs = [torch.randn(2, CHANNELS.get(name, 3), *size) for size in sizes]
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
