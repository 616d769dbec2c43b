"""What is measured: the modules in Python, their weights and inputs, and who competes. Modules have the names of
workloads.cpp; a workload is NAME@SIZE."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 20
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))


@dataclass(frozen=True)
class Peer:
    name: str
    short: str  # in tables
    kind: str  # "convkit"; "python"; "onnx" or "ncnn" for what reads such an exported file
    variant: str  # what its process calls it
    layout: str = "NCHW"  # of inputs and results
    exact: bool = True  # computes in float32

    @property
    def tolerance(self) -> float:
        """Of the largest number of the output of Python's eager float32."""
        return 1e-4 if self.exact else 1e-1


OURS, OURS_LAST, PLAIN = "convkit compiled", "convkit compiled channels_last", "convkit plain"
EAGER = "Python eager"
PEERS = {peer.name: peer for peer in [
    Peer(OURS, "compiled", "convkit", "compiled"),
    Peer(OURS_LAST, "compiled cl", "convkit", "compiled channels_last", "channels_last"),
    Peer("convkit compiled without Winograd", "compiled direct", "convkit", "compiled direct"),
    Peer("convkit compiled bfloat16", "compiled bf16", "convkit", "compiled bfloat16", exact=False),
    Peer(PLAIN, "plain", "convkit", "plain"),
    Peer("convkit plain channels_last", "plain cl", "convkit", "plain channels_last", "channels_last"),
    Peer(EAGER, "eager", "python", "eager"),
    Peer("Python eager channels_last", "eager cl", "python", "eager channels_last", "channels_last"),
    Peer("torch.compile", "t.compile", "python", "compile"),
    Peer("torch.compile freezing", "t.c. freezing", "python", "compile freezing"),
    Peer("AOTInductor freezing", "AOTInductor", "python", "aotinductor"),
    Peer("ONNX Runtime", "ONNX Runtime", "onnx", "onnxruntime"),
    Peer("OpenVINO float32", "OpenVINO", "onnx", "openvino float32"),
    Peer("OpenVINO default precision", "OpenVINO default", "onnx", "openvino default", exact=False),
    Peer("ncnn", "ncnn", "ncnn", "ncnn"),
    Peer("ncnn without Winograd", "ncnn direct", "ncnn", "ncnn direct"),
]}
RIVALS = [peer for peer in PEERS.values()
          if peer.exact and peer.kind != "convkit" and peer.name != "ncnn without Winograd"]


@dataclass(frozen=True)
class Workload:
    title: str
    group: str  # "network"; "block"; "call", where there is next to nothing to compute; "ceiling"
    channels: int
    size: int


WORKLOADS = {
    "mobilenet_v2": Workload("MobileNetV2", "network", 3, 224),
    "resnet18": Workload("ResNet-18", "network", 3, 224),
    "resnet50": Workload("ResNet-50", "network", 3, 224),
    "vgg16": Workload("VGG-16", "network", 3, 224),
    "densenet121": Workload("DenseNet-121", "network", 3, 224),
    "efficientnet_b0": Workload("EfficientNet-B0", "network", 3, 224),
    "unet_resnet18": Workload("U-Net, ResNet-18", "network", 3, 224),
    "convnext_tiny": Workload("ConvNeXt-tiny", "network", 3, 224),
    "conv_3_64": Workload("ConvBlock 3 to 64", "block", 3, 224),
    "conv_64_64": Workload("ConvBlock 64 to 64", "block", 64, 56),
    "separable": Workload("Separable 64 to 128", "block", 64, 56),
    "separable_norm": Workload("Separable with norms", "block", 64, 56),
    "up_transposed": Workload("Upsampler transposed", "block", 64, 56),
    "up_bilinear": Workload("Upsampler bilinear", "block", 64, 56),
    "up_pixel_shuffle": Workload("Upsampler pixel shuffle", "block", 64, 56),
    "inverted_residual": Workload("Inverted residual 24", "block", 24, 56),
    "conv_8_8": Workload("ConvBlock 8 to 8", "call", 8, 8),
    "ceiling": Workload("conv 256 to 256", "ceiling", 256, 28),
}
ALL = ["mobilenet_v2@112"] + [f"{name}@{of.size}" for name, of in WORKLOADS.items() if of.group != "ceiling"]
QUICK = ["mobilenet_v2@224", "conv_64_64@56", "separable_norm@56"]


def split(workload: str) -> tuple[str, int]:
    """The module's name and the image's size."""
    name, _, size = workload.partition("@")
    if name not in WORKLOADS:
        raise SystemExit(f"peers.py: no workload {name}; there are {', '.join(WORKLOADS)}")
    return name, int(size) if size else WORKLOADS[name].size


def title(workload: str) -> str:
    name, size = split(workload)
    return f"{WORKLOADS[name].title}, {size} px"


def build(name: str) -> Any:
    """The module in eval mode. Its package is imported here, so that no other process has it in memory."""
    import torch
    from torch import nn

    import torchvision_operators  # noqa: F401

    if name.startswith("unet_"):
        import segmentation_models_pytorch as smp
        module = smp.Unet(name.removeprefix("unet_"), encoder_weights=None)
    elif name == "resnet18_10":  # of training.py
        import torchvision
        module = torchvision.models.resnet18(num_classes=10)
    elif name == "inverted_residual":
        from torchvision.models.mobilenetv2 import InvertedResidual
        module = InvertedResidual(24, 24, stride=1, expand_ratio=6)
    elif WORKLOADS[name].group == "network":
        import torchvision
        module = torchvision.models.get_model(name, weights=None)
    elif name == "ceiling":
        module = torch.nn.Conv2d(256, 256, 3, padding=1)
    else:
        import modules
        upsampler = {f"up_{mode.replace('-', '_')}": mode for mode in ("transposed", "bilinear", "pixel-shuffle")}
        if name in upsampler:
            module = modules.Upsampler(64, 32, mode=upsampler[name])
        elif name == "separable":
            module = modules.SeparableConv2d(64, 128)
        elif name == "separable_norm":
            module = nn.Sequential(modules.depthwise_conv2d(64), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
                                   modules.pointwise_conv2d(64, 128), nn.BatchNorm2d(128), nn.ReLU(inplace=True))
        else:
            module = modules.ConvBlock(*(int(channels) for channels in name.removeprefix("conv_").split("_")))
    return module.eval()


def write_files(workload: str, batches: Iterable[int], folder: Path) -> None:
    """Weights that keep every layer alive, the same for all sizes, and inputs."""
    import torch
    from safetensors.torch import save_file

    name, size = split(workload)
    of = WORKLOADS[name]
    weights = weights_file(name, folder)
    if not weights.exists():
        from networks import settle
        torch.manual_seed(SEED)
        module = build(name)
        settle(module, torch.randn(2, of.channels, of.size, of.size))
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, weights)
    for batch in batches:
        file = input_file(workload, batch, folder)
        if not file.exists():
            torch.manual_seed(SEED + batch)
            save_file({"x": torch.randn(batch, of.channels, size, size)}, file)


def weights_file(name: str, folder: Path) -> Path:
    return folder / f"{name}.safetensors"


def input_file(workload: str, batch: int, folder: Path) -> Path:
    return folder / f"input.{workload}.{batch}.safetensors"


def exported_file(workload: str, batch: int, kind: str, folder: Path) -> Path:
    return folder / f"{workload}.{batch}.{kind}"
