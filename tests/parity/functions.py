"""What convkit's functions are held to: calls of kornia, OpenCV, timm, torch.nn.functional and FlopCounterMode."""

import itertools
import math

import torchvision_operators  # noqa: F401, isort: skip

import cv2
import kornia.filters as kf
import numpy as np
import torch
import torch.nn.functional as F
from timm.layers.padding import pad_same
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision import ops
from torchvision.models._utils import _make_divisible


def call(function, options, inputs, output):
    """`options` are numbers and strings; `inputs` the tensors that the function takes."""
    return {"function": function, "options": options, "inputs": inputs, "output": output}


def derivative(dx, dy, kernel_size):
    kx, ky = cv2.getDerivKernels(dx, dy, kernel_size)
    return torch.tensor(np.outer(ky, kx).astype(np.float32))


def kernels():
    for axis, kernel in zip("xy", kf.get_sobel_kernel2d()):
        yield call("sobel_kernel", {"axis": axis, "kernel_size": 3}, [], kernel)
    for axis, dx, dy in (("x", 1, 0), ("y", 0, 1)):
        for kernel_size in (3, 5, 7, 9, 15, 31):
            yield call("sobel_kernel", {"axis": axis, "kernel_size": kernel_size}, [],
                       derivative(dx, dy, kernel_size))
        yield call("scharr_kernel", {"axis": axis}, [], derivative(dx, dy, cv2.FILTER_SCHARR))
    for kernel_size in (3, 5, 7, 11):
        yield call("laplacian_kernel", {"kernel_size": kernel_size}, [],
                   kf.get_laplacian_kernel2d(kernel_size))
    for kernel_size, sigma in (((3, 3), (1.0, 1.0)), ((5, 5), (1.5, 0.8)), ((7, 3), (2.0, 0.3)),
                               ((1, 9), (1.0, 4.0)), ((5, 5), (1e-3, 1e-30))):
        yield call("gaussian_kernel", {"kernel_size": list(kernel_size), "sigma": list(sigma)}, [],
                   kf.get_gaussian_kernel2d(kernel_size, sigma)[0])
    for kernel_size in ((3, 3), (5, 5), (7, 3)):
        yield call("box_kernel", {"kernel_size": list(kernel_size)}, [],
                   kf.get_box_kernel2d(kernel_size)[0])
    for kernel_size, theta, psi in itertools.product((3, 5, 7, 21), (0.0, 0.7, math.pi / 2), (0.0, 1.0)):
        gabor = {"sigma": kernel_size / 5, "theta": theta, "lambda": kernel_size / 2.5, "gamma": 0.7,
                 "psi": psi}
        kernel = cv2.getGaborKernel((kernel_size, kernel_size), gabor["sigma"], theta,
                                    gabor["lambda"], gabor["gamma"], psi, cv2.CV_64F)
        yield call("gabor_kernel", {"kernel_size": kernel_size, **gabor}, [],
                   torch.tensor(kernel).float())


def initialisers():
    for seed, (mean, std, a, b) in enumerate([(0.0, 1.0, -2.0, 2.0), (0.0, 0.02, -2.0, 2.0), (1.0, 2.0, -1.0, 1.5), (0.0, 1.0, 1.5, 3.0),
                                              (0.0, 1.0, 2.5, 2.7), (5.0, 1.0, -2.0, 3.0), (0.0, 1.0, -0.1, 0.1)]):
        for dtype in ("float32", "float64", "bfloat16"):
            torch.manual_seed(seed)
            output = torch.nn.init.trunc_normal_(torch.empty(7, 33, dtype=getattr(torch, dtype)), mean, std, a, b)
            yield call("trunc_normal_", {"seed": seed, "mean": mean, "std": std, "a": a, "b": b, "dtype": dtype}, [], output)
    for v in (0.3, 1.0, 7.9, 8.0, 11.9, 12.0, 16.5, 23.0, 24.4, 32 * 0.35, 320 * 1.4, 1000.0, 12345.6):
        for divisor in (1, 3, 8, 16):
            for min_value in (None, 4, 20):
                options = {"v": v, "divisor": divisor} | ({} if min_value is None else {"min_value": min_value})
                yield call("make_divisible", options, [], torch.tensor(_make_divisible(v, divisor, min_value)))


def images(photo):
    for x in (torch.randn(2, 3, 12, 17), photo):
        for border in ("constant", "reflect", "replicate", "circular"):
            for shape in ((3, 3), (5, 3), (2, 4)):
                kernel = torch.randn(shape)
                yield call("filter2d", {"border": border}, [x, kernel],
                           kf.filter2d(x, kernel[None], border))
    x = torch.randn(2, 3, 12, 17)
    for kernel_size, stride, dilation in itertools.product(((3, 3), (2, 5)), ((1, 1), (2, 3)),
                                                           ((1, 1), (3, 2))):
        yield call("pad_same", {"kernel_size": list(kernel_size), "stride": list(stride),
                                "dilation": list(dilation), "value": 0.5}, [x],
                   pad_same(x, kernel_size, stride, dilation, 0.5))
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        align = {} if mode.startswith("nearest") else {"align_corners": False}
        for size in ((24, 34), (25, 33), (7, 5), (12, 17), (1, 1)):
            yield call("upsample_like", {"mode": mode}, [x, torch.randn(4, *size)],
                       F.interpolate(x, size=size, mode=mode, **align))


def attention():
    """FlopCounterMode's, of the matrix products: it leaves out the CPU's fused kernel."""
    for q, k, v in (((2, 4, 10, 8), (2, 4, 12, 8), (2, 4, 12, 8)), ((1, 3, 7, 16), (1, 3, 7, 16), (1, 3, 7, 16)),
                    ((2, 4, 10, 8), (2, 4, 12, 8), (2, 4, 12, 16)), ((4, 10, 8), (4, 12, 8), (4, 12, 8))):
        inputs = [torch.zeros(shape) for shape in (q, k, v)]
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            F.scaled_dot_product_attention(*inputs)
        yield call("attention_flops", {"q": q, "k": k, "v": v}, inputs, torch.tensor(counter.get_total_flops()))


def detection():
    """What torchvision has in Python; detection.py has its operators in C++."""
    low, extent = torch.rand(2, 9, 2) * 20, torch.rand(2, 9, 2) * 12 + 1
    for fmt in ("xyxy", "xywh", "cxcywh"):
        boxes = torch.cat([low, low + extent if fmt == "xyxy" else extent], -1)
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8):
            a, b = boxes.to(dtype).split([4, 5], 1)
            yield call("box_iou", {"fmt": fmt}, [a, b], ops.box_iou(a, b, fmt))
    for seed, (channels, kernel_size, options) in enumerate([
            ((4, 6), 3, {}), ((4, 6), (3, 2), {"stride": 2, "padding": 1}), ((6, 9), 1, {"groups": 3, "bias": False}),
            ((2, 2), (1, 5), {"dilation": (2, 1), "padding": (0, 2)})]):
        torch.manual_seed(seed)
        module = ops.DeformConv2d(*channels, kernel_size, **options)
        given = {"in_channels": channels[0], "out_channels": channels[1], "kernel_size": kernel_size, "stride": 1, "padding": 0,
                 "dilation": 1, "groups": 1, "bias": True, **options}
        yield call("DeformConv2d", {**given, "seed": seed, "repr": repr(module), "keys": " ".join(module.state_dict())}, [],
                   torch.cat([parameter.detach().flatten() for parameter in module.parameters()]))


def calls(photo):
    torch.manual_seed(0)
    for made in itertools.chain(kernels(), initialisers(), images(photo), attention(), detection()):
        made["name"] = f"{made['function']}({made['options']})"
        made["output"] = made["output"].contiguous()
        yield made
