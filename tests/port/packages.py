"""Networks that others published as packages, which the test port_packages ports and compares.

published.py has fetched the wheels, and unpacked what CONVKIT_PUBLISHED has; without them there are no networks.
"""

import functools
import importlib
import os
import pathlib
import sys

import published
import published_networks as networks
import torchvision

UNPACKED = pathlib.Path(os.environ["CONVKIT_PUBLISHED"])
# Nothing is installed: Python imports from the wheels as they are.
sys.path += sorted(map(str, published.WHEELS.glob("*-none-any.whl")))


def of(package, name, **options):
    """What a class of a package makes, whose weights are random."""
    vgg16 = torchvision.models.vgg16
    torchvision.models.vgg16 = lambda pretrained: vgg16()  # whose weights DISTS asks the network for
    try:
        return getattr(importlib.import_module(package), name)(**options)
    finally:
        torchvision.models.vgg16 = vgg16


untrained = {"pretrained": False, "pnet_rand": True, "verbose": False}
lpips_alex = functools.partial(of, "lpips", "LPIPS", net="alex", **untrained)
lpips_vgg = functools.partial(of, "lpips", "LPIPS", net="vgg", **untrained)
lpips_squeeze = functools.partial(of, "lpips", "LPIPS", net="squeeze", **untrained)
dists = functools.partial(of, "DISTS_pytorch", "DISTS", load_weights=False)
ssim = functools.partial(of, "pytorch_msssim", "SSIM", data_range=1.0)
pnet = functools.partial(networks.network, UNPACKED, "pnet")
rnet = functools.partial(networks.network, UNPACKED, "rnet")
onet = functools.partial(networks.network, UNPACKED, "onet")
crepe_tiny = functools.partial(networks.network, UNPACKED, "crepe_tiny")
monai = functools.partial(of, "monai.networks.nets")
residual = {"in_channels": 1, "out_channels": 2, "channels": (4, 8, 16, 32), "strides": (2, 2, 2), "num_res_units": 2}
basic_unet_2d = functools.partial(monai, "BasicUNet", spatial_dims=2)
basic_unet_3d = functools.partial(monai, "BasicUNet", spatial_dims=3, features=(8, 8, 16, 32, 64, 8))
unet_2d = functools.partial(monai, "UNet", spatial_dims=2, **residual)
unet_3d = functools.partial(monai, "UNet", spatial_dims=3, **residual)
densenet_2d = functools.partial(monai, "DenseNet121", spatial_dims=2, in_channels=1, out_channels=2)
densenet_3d = functools.partial(monai, "DenseNet121", spatial_dims=3, in_channels=1, out_channels=2)
segresnet_2d = functools.partial(monai, "SegResNet", spatial_dims=2, dropout_prob=0.2)
segresnet_3d = functools.partial(monai, "SegResNet", spatial_dims=3, dropout_prob=0.2)

PAIR, IMAGE, VOLUME = ["2,3,64,64"] * 2, ["2,1,64,64"], ["2,1,32,32,32"]
CASES = [
    ("lpips_alex", PAIR), ("lpips_vgg", PAIR), ("lpips_squeeze", PAIR), ("dists", PAIR), ("ssim", PAIR),
    ("pnet", ["2,3,12,12"]), ("rnet", ["@2,3,24,24"]), ("onet", ["@2,3,48,48"]), ("crepe_tiny", ["2,1024"]),
    ("basic_unet_2d", IMAGE), ("basic_unet_3d", VOLUME), ("unet_2d", IMAGE), ("unet_3d", VOLUME),
    ("densenet_2d", IMAGE), ("densenet_3d", VOLUME), ("segresnet_2d", IMAGE), ("segresnet_3d", VOLUME),
]
REFUSED = []

if not (UNPACKED / published.CREPE).exists():
    print("SKIPPED: the wheels of published.txt are not there")
    sys.exit(published.SKIPPED)
