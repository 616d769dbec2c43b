"""Writes what Pillow and torchvision make of the colors of random images: colours.py FILE.

A case is a name with a number, the tensors of its image, whether it was a tensor's way, and the results.
"""

import torchvision_operators  # noqa: F401, isort: skip

import random
import sys
import warnings

import torch
from safetensors.torch import save_file
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as v2

tensors = {}
draw = random.Random(1)
TYPES = [torch.uint8, torch.float32, torch.float64, torch.int16]


def image(least=1):
    """Noise of all colors, of a few, or of black and white."""
    shape = [draw.choice([1, 3, 3]), draw.randint(least, 30), draw.randint(least, 30)]
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
    for key, value in given.items():
        value = value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)
        tensors[f"{name}.{number}.{key}"] = value


def cases(name, count, make):
    """Adds cases in both ways, `count` in each; make(image, way) gives its options and the result."""
    for number in range(2 * count):
        way = number % 2
        dtype = TYPES[number // 2 % 4] if way else torch.uint8
        pixels = of_type(image(), dtype)
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


def posterized(pixels, way):
    bits = draw.randint(0 if way else 1, 8)
    return {"bits": bits, "result": both(pixels, way, v2.posterize, bits)}


def white(dtype):
    return 1 if dtype.is_floating_point else torch.iinfo(dtype).max


def solarized(pixels, way):
    threshold = draw.choice([0.5, draw.random(), draw.random()]) * white(pixels.dtype)
    if draw.random() < 0.5:
        threshold = float(round(threshold))
    return {"threshold": threshold, "result": both(pixels, way, v2.solarize, threshold)}


def gammas(pixels, way):
    gamma = draw.choice([0.0, 0.5, 1.0, 2.0, draw.uniform(0, 4)])
    gain = draw.choice([1.0, 0.0, draw.uniform(0, 3)])
    return {"gamma": gamma, "gain": gain, "result": both(pixels, way, v2.adjust_gamma, gamma, gain)}


def blurred(pixels, way):
    height, width = pixels.shape[-2:]
    most = [min(2 * width - 1, 23), min(2 * height - 1, 23)]  # as far as the image can be mirrored
    kernel_size = [1 + 2 * draw.randint(0, side // 2) for side in most]
    sigma = draw.choice([[], [draw.uniform(0.1, 4)], [draw.uniform(0.1, 4), draw.uniform(0.1, 4)]])
    return {"kernel_size": torch.tensor(kernel_size), "sigma": torch.tensor(sigma, dtype=torch.float64),
            "result": both(pixels, way, v2.gaussian_blur, kernel_size, sigma or None)}


def erased(pixels, way):
    height, width = pixels.shape[-2:]
    top, left = draw.randint(0, height), draw.randint(0, width)
    region = [top, left, draw.randint(0, height - top), draw.randint(0, width - left)]
    value = draw.choice([torch.rand(1, 1, 1), torch.rand(pixels.shape[-3], *region[2:])]) * white(pixels.dtype)
    return {"region": torch.tensor(region), "value": value, "result": both(pixels, way, v2.erase, *region, value)}


def plain(function):
    return lambda pixels, way: {"result": both(pixels, way, function)}


def halves():
    """Both types of half precision, and all functions of them."""
    functions = {
        "gray": v2.rgb_to_grayscale, "brightness": lambda x: v2.adjust_brightness(x, 1.5),
        "contrast": lambda x: v2.adjust_contrast(x, 1.5), "saturation": lambda x: v2.adjust_saturation(x, 1.5),
        "hue": lambda x: v2.adjust_hue(x, 0.2), "invert": v2.invert, "posterize": lambda x: v2.posterize(x, 3),
        "solarize": lambda x: v2.solarize(x, 0.4), "autocontrast": v2.autocontrast, "equalize": v2.equalize,
        "sharpness": lambda x: v2.adjust_sharpness(x, 1.5), "gamma": lambda x: v2.adjust_gamma(x, 1.5, 0.9),
        "blur": lambda x: v2.gaussian_blur(x, [3, 3]), "resize": lambda x: v2.resize(x, [9, 7]),
        "pad": lambda x: v2.pad(x, [1], 0.3)}
    for number in range(20):
        pixels = v2.to_dtype(image(3), [torch.float16, torch.bfloat16][number % 2], scale=True).contiguous()
        add("half", number, image=pixels, **{name: function(pixels) for name, function in functions.items()})


def dtypes():
    """All pairs; an empty result where torchvision refuses the pair."""
    types = [*TYPES, torch.int32, torch.int64, torch.bool]
    number = 0
    for from_ in types:
        for to in types:
            for scale in [False, True]:
                pixels = torch.cat([torch.rand(3, 5, 7, dtype=torch.float64).flatten(), torch.tensor([0, 1])])
                if from_ == torch.bool:
                    pixels = pixels > 0.5
                elif not from_.is_floating_point:
                    pixels = v2.to_dtype(pixels.mul(255.999).to(torch.uint8), from_, scale=True)
                    pixels = pixels - pixels // 300
                pixels = pixels.to(from_)
                try:
                    result = v2.to_dtype(pixels, to, scale)
                except (RuntimeError, TypeError):
                    result = torch.empty(0, dtype=to)
                add("dtype", number, image=pixels, scale=scale, like=result)
                number += 1


def randoms():
    """100 seeds of each."""
    for seed in range(100):
        way = seed % 2
        dtype = TYPES[seed // 2 % 4] if way else torch.uint8
        pixels = of_type(image(3), dtype)
        p = draw.random()
        part = [draw.random() for _ in range(4)]
        area = draw.choice([[0.02, 0.33, 0.3, 3.3], [0.5, 1.0, 0.1, 9.0], [0.0, 0.01, 1.0, 1.0]])
        transforms = {
            "jitter": T.ColorJitter(part[0], (part[1], part[1] + 1), part[2], part[3] / 2),
            "hue_alone": T.ColorJitter(0, hue=(-0.1, 0.3)), "gray": T.RandomGrayscale(p),
            "invert": T.RandomInvert(p), "posterize": T.RandomPosterize(3, p),
            "solarize": T.RandomSolarize(part[0], p), "autocontrast": T.RandomAutocontrast(p),
            "equalize": T.RandomEqualize(p), "sharpness": T.RandomAdjustSharpness(2 * part[1], p),
            "blur": T.GaussianBlur((5, 3)), "erasing": T.RandomErasing(0.9, value=part[0]),
            "erasing_noise": T.RandomErasing(0.9, area[:2], area[2:], "random")}
        results = {}
        for name, transform in transforms.items():
            torch.manual_seed(seed)
            results[name] = both(pixels, way, transform)
            results[name + "_next"] = torch.rand(1)  # as many numbers were drawn
        add("random", seed, image=pixels, way=way, p=p, part=torch.tensor(part, dtype=torch.float64),
            range=torch.tensor(area, dtype=torch.float64), **results)


def composed():
    """100 seeds of a Compose of all transforms, of an image of Pillow's and of a tensor."""
    for number in range(200):
        seed, way = divmod(number, 2)
        pixels = torch.randint(0, 256, [3, draw.randint(8, 40), draw.randint(8, 40)], dtype=torch.uint8)
        given = pixels if way else v2.to_pil_image(pixels)
        transforms = {
            "result": [
                T.Resize(30), T.Pad([1, 2], padding_mode="reflect"),
                T.RandomCrop([28, 33], 2, pad_if_needed=True, fill=9), T.RandomResizedCrop(26, [0.3, 1.0]),
                T.RandomHorizontalFlip(), T.RandomVerticalFlip(0.3), T.ColorJitter(0.4, 0.4, 0.4, 0.1),
                T.GaussianBlur([3, 5]), T.RandomGrayscale(0.3), T.CenterCrop([24, 22]),
                T.ToDtype(torch.float32, scale=True) if way else T.ToTensor(),
                T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), T.RandomErasing(value="random")],
            "gray": [T.RandomCrop(7), T.Grayscale(3), T.ToImage(), T.ToDtype(torch.float64, scale=True)]}
        results = {}
        for name, parts in transforms.items():
            torch.manual_seed(seed)
            results[name] = T.Compose(parts)(given).as_subclass(torch.Tensor)
            results[name + "_next"] = torch.rand(1)  # as many numbers were drawn
        add("compose", number, image=pixels, way=way, seed=seed, **results)


torch.set_num_threads(1)  # on which the kernels of a tensor depend
torch.manual_seed(1)
warnings.filterwarnings("ignore", "The transform `ToTensor")
cases("gray", 300, gray)
cases("brightness", 300, adjusted(v2.adjust_brightness))
cases("contrast", 300, adjusted(v2.adjust_contrast))
cases("saturation", 300, adjusted(v2.adjust_saturation))
cases("hue", 300, hue)
cases("invert", 300, plain(v2.invert))
cases("posterize", 300, posterized)
cases("solarize", 300, solarized)
cases("autocontrast", 300, plain(v2.autocontrast))
cases("equalize", 300, plain(v2.equalize))
cases("sharpness", 300, adjusted(v2.adjust_sharpness))
cases("gamma", 300, gammas)
cases("blur", 300, blurred)
cases("erase", 300, erased)
dtypes()
randoms()
composed()
halves()
save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, sys.argv[1])
