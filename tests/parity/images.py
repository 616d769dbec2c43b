"""Writes what Pillow and torchvision make of random images: images.py FILE.

A case is a name with a number, the tensors of its images, and its options as whole numbers.
"""

import torchvision_operators  # noqa: F401, isort: skip

import random
import sys
import warnings

import torch
from safetensors.torch import save_file
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2 as T
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2

# In the order of convkit's.
INTERPOLATIONS = [InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT, InterpolationMode.BILINEAR,
                  InterpolationMode.BICUBIC, InterpolationMode.BOX, InterpolationMode.HAMMING,
                  InterpolationMode.LANCZOS]
TENSORS = 4  # the first ones have a tensor's way

tensors = {}
draw = random.Random(1)


def image(channels=None):
    """Noise, or blocks of black and white, at which bicubic and lanczos leave the range of a pixel."""
    channels = channels or draw.choice([1, 3])
    height, width = draw.randint(1, 70), draw.randint(1, 70)
    if draw.random() < 0.1:
        height, width = draw.choice([(1, 40), (40, 1), (2, 90)])
    pixels = torch.randint(0, 256, (channels, height, width), dtype=torch.uint8)
    return pixels if draw.random() < 0.7 else (pixels > 127).to(torch.uint8) * 255


def pillow(pixels):
    return v2.to_pil_image(pixels)


def add(name, number, **given):
    tensors.update({f"{name}.{number}.{key}": value if isinstance(value, torch.Tensor) else torch.tensor(value)
                    for key, value in given.items()})


def resizes():
    for number in range(750):
        alpha = number >= 600
        pixels = image(draw.choice([2, 4]) if alpha else None)
        way = 0 if alpha else number % 2
        interpolation = draw.randrange(TENSORS if way else len(INTERPOLATIONS))
        antialias = draw.random() < 0.5
        size = [draw.randint(1, 80)] if draw.random() < 0.3 else [draw.randint(1, 80), draw.randint(1, 80)]
        if draw.random() < 0.1:
            size = [pixels.shape[-2], draw.randint(1, 80)]
        if draw.random() < 0.2:  # where Pillow changes the order of rows and columns
            less = draw.randint(1, 20)
            size = [max(pixels.shape[-2] - 2 * less + draw.randint(-1, 1), 1), max(pixels.shape[-1] - less, 1)]
        max_size = draw.randint(size[0] + 1, size[0] + 60) if len(size) == 1 and draw.random() < 0.3 else None
        kind = draw.choice([torch.uint8, torch.uint8, torch.uint8, torch.float32, torch.float32, torch.float64, torch.int16]) if way else torch.uint8
        given = pixels.to(kind) / (7 if kind.is_floating_point else 1)
        given = given.to(kind)
        last = bool(way and draw.random() < 0.3)
        if last:
            given = given[None].contiguous(memory_format=torch.channels_last)[0]
        try:
            result = v2.resize(given if way else pillow(pixels), size, INTERPOLATIONS[interpolation], max_size,
                               antialias)
        except (ValueError, RuntimeError):  # a side that rounds to nothing
            continue
        add("resize", number, image=given.contiguous(), size=size, result=result if way else v2.pil_to_tensor(result),
            options=[interpolation, max_size or 0, antialias, way, last])


def crops():
    for number in range(300):
        pixels = image()
        size = [draw.randint(1, 100) for _ in range(draw.choice([1, 2]))]
        result = v2.pil_to_tensor(v2.center_crop(pillow(pixels), size))
        assert torch.equal(result, v2.center_crop(pixels, size))
        add("center_crop", number, image=pixels, size=size, result=result.contiguous())


MODES = ["constant", "edge", "reflect", "symmetric"]  # in convkit's order


def geometry():
    for number in range(250):
        pixels = image()
        height, width = pixels.shape[-2:]
        image_ = pillow(pixels)
        back = v2.pil_to_tensor
        region = [draw.randint(-20, height), draw.randint(-20, width), draw.randint(1, 90), draw.randint(1, 90)]
        size = [draw.randint(1, 60), draw.randint(1, 60)]
        mode = draw.randrange(4)
        most = 30 if mode < 2 else min(height, width) - (mode == 2)
        padding = [draw.randint(0, most) for _ in range(draw.choice([1, 2, 4]))]
        fill = [draw.randint(0, 255) for _ in range(draw.choice([1, pixels.shape[0]]))]
        inner = [draw.randint(1, height), draw.randint(1, width)]
        padded = back(v2.pad(image_, padding, tuple(fill) if len(fill) > 1 else fill[0], MODES[mode]))
        if mode or len(fill) == 1:
            assert torch.equal(padded, v2.pad(pixels, padding, fill[0], MODES[mode]))
        add("geometry", number, image=pixels, region=region, size=size, mode=mode, padding=padding,
            fill=torch.tensor(fill, dtype=torch.float64), inner=inner, padded=padded,
            crop=back(v2.crop(image_, *region)), resized_crop=back(v2.resized_crop(image_, *region, size)),
            tensor_crop=v2.resized_crop(pixels.float(), 0, 0, *inner, size),
            horizontal_flip=back(v2.horizontal_flip(image_)), vertical_flip=back(v2.vertical_flip(image_)),
            five_crop=torch.stack([back(part) for part in v2.five_crop(image_, inner)]))


def randoms():
    """100 seeds of each."""
    for seed in range(100):
        pixels = image()
        height, width = pixels.shape[-2:]
        p = draw.random()
        size = [draw.randint(1, 60), draw.randint(1, 60)]
        padding = [draw.randint(0, 9) for _ in range(draw.choice([1, 2, 4]))]
        inner = [draw.randint(1, height), draw.randint(1, width)]
        ratio = draw.choice([[3 / 4, 4 / 3], [0.1, 9.5], [5.0, 7.0], [0.1, 0.2]])
        if min(height, width) < 4:  # of which another ratio's middle has no pixel
            ratio = [3 / 4, 4 / 3]
        scale = draw.choice([[0.08, 1.0], [0.5, 0.9], [0.9, 1.0]])
        transforms = {
            "horizontal_flip": T.RandomHorizontalFlip(p), "vertical_flip": T.RandomVerticalFlip(p),
            "inner_crop": T.RandomCrop(inner), "padded_crop": T.RandomCrop(inner, padding, fill=9),
            "needed_crop": T.RandomCrop([70, 40], padding, pad_if_needed=True, padding_mode="edge"),
            "resized_crop": T.RandomResizedCrop(size, scale, ratio)}
        results = {}
        for name, transform in transforms.items():
            torch.manual_seed(seed)
            results[name] = v2.pil_to_tensor(transform(pillow(pixels)))
            results[name + "_next"] = torch.rand(1)  # as many numbers were drawn
        add("random", seed, image=pixels, p=torch.tensor(p, dtype=torch.float64), size=size, padding=padding,
            inner=inner, ratio=torch.tensor(ratio, dtype=torch.float64),
            scale=torch.tensor(scale, dtype=torch.float64), **results)


FORMATS = ["XYXY", "XYWH", "CXCYWH"]  # in convkit's order
BOX_TYPES = [torch.float32, torch.float32, torch.float64, torch.int64, torch.int32]
MASK_TYPES = [torch.uint8, torch.uint8, torch.bool, torch.int64, torch.float32]


def bounding_boxes(height, width):
    """Boxes of which some have corners outside, and some no area."""
    count = draw.randint(0, 6)
    corners = torch.rand(count, 4, dtype=torch.float64) * torch.tensor([width, height] * 2) * 1.4 - 3
    corners = torch.cat([torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])], 1)
    if count > 2:
        corners[0, 2:] = corners[0, :2]
        corners[1] = torch.tensor([0, 0, width, height])
    format = draw.randrange(3)
    boxes = v2.convert_bounding_box_format(corners, "XYXY", FORMATS[format])
    kind = draw.choice(BOX_TYPES)
    return tv_tensors.BoundingBoxes(boxes.to(kind), format=FORMATS[format], canvas_size=(height, width)), format


def samples():
    """Images with masks and boxes, which every transform does the same to."""
    for seed in range(300):
        pixels = image()
        height, width = pixels.shape[-2:]
        mask = torch.randint(0, 5, draw.choice([(height, width), (height, width), (2, height, width)])).to(draw.choice(MASK_TYPES))
        boxes, format = bounding_boxes(height, width)
        sample = (pillow(pixels), tv_tensors.Mask(mask), boxes)
        p = draw.random()
        size = [draw.randint(1, 60), draw.randint(1, 60)]
        shorter, longest = draw.randint(10, 40), draw.randint(41, 70)
        top, left = draw.randint(-20, height), draw.randint(-20, width)
        # torchvision gives a tensor's crop above or left of all pixels other sides.
        region = [top, left, draw.randint(max(1 - top, 1), 90), draw.randint(max(1 - left, 1), 90)]
        padding = [draw.randint(0, 9) for _ in range(draw.choice([1, 2, 4]))]
        inner = draw.choice([[draw.randint(1, height), draw.randint(1, width)], [height, width]])
        exact = draw.random() < 0.5
        nearest = InterpolationMode.NEAREST_EXACT if exact else InterpolationMode.BILINEAR
        fill = {tv_tensors.Mask: 1, "others": 9}
        results = {}

        def result(name, transform):
            torch.manual_seed(seed)
            try:
                parts = transform(*sample)
            except ValueError:  # a side that rounds to nothing
                return
            results.update({f"{name}_image": v2.pil_to_tensor(parts[0]), f"{name}_mask": parts[1].as_subclass(torch.Tensor),
                            f"{name}_boxes": parts[2].as_subclass(torch.Tensor),
                            f"{name}_canvas": torch.tensor(parts[2].canvas_size), f"{name}_next": torch.rand(1)})

        def of_each(function, *given, **more):
            return lambda *parts: [function(part, *given, **more) for part in parts]

        result("resize", of_each(v2.resize, size, nearest))
        result("resize_shorter", of_each(v2.resize, [shorter], max_size=longest))
        result("crop", of_each(v2.crop, *region))
        result("resized_crop", of_each(v2.resized_crop, *region, size))
        result("pad", of_each(v2.pad, padding, 3))
        result("center_crop", of_each(v2.center_crop, size))
        result("horizontal_flip", of_each(v2.horizontal_flip))
        result("vertical_flip", of_each(v2.vertical_flip))
        result("random_horizontal_flip", T.RandomHorizontalFlip(p))
        result("random_vertical_flip", T.RandomVerticalFlip(p))
        result("random_crop", T.RandomCrop(inner))
        result("random_padded_crop", T.RandomCrop([70, 40], padding, pad_if_needed=True, fill=fill))
        result("random_resized_crop", T.RandomResizedCrop(size, [0.2, 1.0], [0.05, 20.0]))
        kept, valid = v2.sanitize_bounding_boxes(boxes, min_size=1.5, min_area=40)
        for number, name in enumerate(FORMATS):
            results[f"to_{number}"] = v2.convert_bounding_box_format(boxes, new_format=name).as_subclass(torch.Tensor)
        add("sample", seed, image=pixels, mask=mask, boxes=boxes.as_subclass(torch.Tensor), format=format, size=size,
            p=torch.tensor(p, dtype=torch.float64), shorter=[shorter, longest], region=region, padding=padding,
            inner=inner, exact=exact, clamped=v2.clamp_bounding_boxes(boxes).as_subclass(torch.Tensor),
            kept=kept.as_subclass(torch.Tensor), valid=valid, **results)


def numbers():
    for number in range(40):
        pixels = image()
        channels = draw.choice([1, pixels.shape[0]])
        mean = [draw.random() for _ in range(channels)]
        std = [draw.uniform(0.1, 2) for _ in range(channels)]
        result = v1.to_tensor(pillow(pixels))
        add("normalize", number, image=pixels, mean=torch.tensor(mean, dtype=torch.float64),
            std=torch.tensor(std, dtype=torch.float64), tensor=result, result=v2.normalize(result, mean, std),
            float16=v2.normalize(result.half(), mean, std), bfloat16=v2.normalize(result.bfloat16(), mean, std))


def long_resizes():
    """Pillow's of sides so long that their weights are made in several parts."""
    for number, interpolation in enumerate(INTERPOLATIONS):
        pixels = image(3)
        size = [draw.randint(16385, 40000), draw.randint(1, 9)]
        for side in range(2):
            result = v2.pil_to_tensor(v2.resize(pillow(pixels), size, interpolation))
            add("resize", 1000 + 2 * number + side, image=pixels, size=size, result=result,
                options=[number, 0, 1, 0, 0])
            size = size[::-1]


torch.set_num_threads(1)  # on which the kernels of a tensor depend
torch.manual_seed(1)
warnings.filterwarnings("ignore", "Anti-alias option")
resizes()
crops()
geometry()
randoms()
numbers()
samples()
long_resizes()
save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, sys.argv[1])
