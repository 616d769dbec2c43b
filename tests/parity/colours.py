"""Writes what Pillow and torchvision make of the colors of random images: colours.py FILE.

A case is a name with a number, the tensors of its image, whether it was a tensor's way, and the results.
"""

import torchvision_operators  # noqa: F401, isort: skip

import random
import sys

import torch
from safetensors.torch import save_file
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as v2

tensors = {}
draw = random.Random(1)
TYPES = [torch.uint8, torch.float32, torch.float64, torch.int16]


def image(least=1):
    """Noise of all colors, of a few, or of black and white."""
    shape = [draw.choice([1, 3, 3]), draw.randint(least, 40), draw.randint(least, 40)]
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    kind = draw.random()
    if kind < 0.2:  # a small range, with many equal colors
        return (pixels % draw.randint(1, 9) + draw.randint(0, 240)).contiguous()
    if kind < 0.4:
        return (pixels > 127).to(torch.uint8) * 255
    return pixels


def of_type(pixels, dtype):
    """The same image in another type, and numbers between the bytes'."""
    if dtype == torch.uint8:
        return pixels
    result = v2.to_dtype(pixels, dtype, scale=True)
    if draw.random() < 0.5:
        result = result * 0.999 if dtype.is_floating_point else result - (result // 300)
    return result


def both(pixels, way, function, *arguments):
    """What a function gives for an image of Pillow's, or for a tensor."""
    if way:
        return function(pixels, *arguments)
    return v2.pil_to_tensor(function(v2.to_pil_image(pixels), *arguments))


def add(name, number, **given):
    tensors.update({f"{name}.{number}.{key}": value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)
                    for key, value in given.items()})


def cases(name, count, make, least=1):
    """Adds cases in both ways, `count` in each; make(image, way, dtype) gives options and the result."""
    for number in range(2 * count):
        way = number % 2
        dtype = TYPES[number // 2 % 4] if way else torch.uint8
        pixels = of_type(image(least), dtype)
        if way and draw.random() < 0.2:
            pixels = torch.stack([pixels, pixels.flip(-1)])
        given = make(pixels, way)
        result = given.pop("result")
        assert result.dtype == pixels.dtype
        add(name, number, image=pixels.clone(), way=way, result=result, **given)


def factor():
    return draw.choice([0.0, 1.0, 0.5, draw.random(), draw.uniform(1, 2), draw.uniform(0, 12)])


def adjusted(function):
    def make(pixels, way):
        by = factor()
        return {"factor": by, "result": both(pixels, way, function, by)}

    return make


def gray(pixels, way):
    channels = draw.choice([1, 3])
    return {"channels": channels, "result": both(pixels, way, v2.rgb_to_grayscale, channels)}


def hue(pixels, way):
    by = draw.choice([0.0, 0.5, -0.5, draw.uniform(-0.5, 0.5), draw.uniform(-0.1, 0.1)])
    return {"factor": by, "result": both(pixels, way, v2.adjust_hue, by)}


torch.set_num_threads(1)  # on which the kernels of a tensor depend
torch.manual_seed(1)
cases("gray", 300, gray)
cases("brightness", 300, adjusted(v2.adjust_brightness))
cases("contrast", 300, adjusted(v2.adjust_contrast))
cases("saturation", 300, adjusted(v2.adjust_saturation))
cases("hue", 300, hue)
save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, sys.argv[1])
