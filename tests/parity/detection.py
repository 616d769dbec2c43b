"""Writes detection.safetensors: what torchvision's C++ operators of detection give for 10,000 random cases.

    python3.11 detection.py detection.safetensors

It needs a torchvision whose C++ operators load. Debian 12's does, and a folder of its own is enough:

    apt-get download $(apt-get install -s --no-install-recommends python3-torchvision | awk '/^Inst/ { print $2 }')
    for package in *.deb; do dpkg-deb -x "$package" root; done
    export PYTHONPATH=root/usr/lib/python3/dist-packages
    lib=x86_64-linux-gnu
    export LD_LIBRARY_PATH=root/lib/$lib:root/usr/lib/$lib:root/usr/lib/$lib/blas:root/usr/lib/$lib/lapack:root/usr/lib

The file was written by python3-torchvision 0.14.1-2 with python3-torch 1.13.1+dfsg-4.

A case is a row of small integers, and its number is the seed of its tensors: Given here and in
tests/layers/ops_cases.h makes the same ones. Of each result and each gradient the file has two sums with numbers of
their own, and of integers a hash. The first cases of each operator are there in full."""

import json
import random
import struct
import sys

import numpy as np
import torch
import torchvision
from torchvision import ops

SCALES = (1.0, 0.5, 0.25, 0.0625, 0.3)
SPREADS = (0.5, 1.0, 3.0, 0.2)
OFFSETS = (0.0, 1.0, 3.0, 12.0)
IN_FULL = 12


def jump_table(count):
    """What steps 1 to `count` of a linear congruential generator multiply its start by, and add."""
    factors = np.empty(count, dtype=np.uint64)
    terms = np.empty(count, dtype=np.uint64)
    factor, term = 1, 0
    for i in range(count):
        factor, term = factor * 1664525 & 0xFFFFFFFF, (term * 1664525 + 1013904223) & 0xFFFFFFFF
        factors[i], terms[i] = factor, term
    return factors, terms


FACTORS, TERMS = jump_table(1 << 16)


class Given:
    """The tensors of one case."""

    def __init__(self, seed, single):
        self.seed = seed
        self.dtype = torch.float32 if single else torch.float64

    def numbers(self, stream, count):
        """24 bits of each step, as numbers from 0 to below 1."""
        start = (self.seed * 2654435761 + stream * 2246822519 + 12345) & 0xFFFFFFFF
        steps = FACTORS[:count] * np.uint64(start) + TERMS[:count] & np.uint64(0xFFFFFFFF)
        return (steps >> np.uint64(8)).astype(np.float64) / 2**24

    def tensor(self, stream, *sizes):
        """Numbers from -2 to 2."""
        values = self.numbers(stream, int(np.prod(sizes))) * 4 - 2
        return torch.from_numpy(values.reshape(sizes)).to(self.dtype)

    def boxes(self, count, height, width, scale, spread, whole, images):
        u = self.numbers(2, count * 5).reshape(count, 5)
        size = np.array([width, height], dtype=np.float64)
        first = (u[:, 1:3] * 1.5 - 0.25) * size
        extent = (u[:, 3:5] - (0.5 if spread == 3 else 0)) * size * SPREADS[spread]
        last = first + extent
        if whole:
            first, last = np.floor(first), np.floor(last)
        boxes = np.concatenate([first / scale, last / scale], 1)
        if images:
            boxes = np.concatenate([np.floor(u[:, :1] * images), boxes], 1)
        return torch.from_numpy(boxes).to(self.dtype)

    def sums(self, stream, values):
        """Of a result: a NaN counts as 7."""
        values = values.detach().double().nan_to_num(nan=7.0).numpy().ravel()
        weights = self.numbers(stream, 2 * values.size).reshape(2, -1) * 2 - 1
        return (weights * values).sum(1).tolist()


def hash_of(values):
    """64 bits of FNV-1a over whole numbers."""
    result = 0xCBF29CE484222325
    for value in values.ravel().tolist():
        result = ((result ^ (value & 0xFFFFFFFF)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return result - (1 << 64) if result >> 63 else result


class Operator:
    """The cases of one operator, and what the file has of them."""

    def __init__(self, name):
        self.name = name
        self.rows, self.sums, self.hashes, self.full = [], [], [], {}

    def add(self, row, given, results, hashed=()):
        for i, (name, values) in enumerate(results.items()):
            self.sums += given.sums(100 + i, values)
            if len(self.rows) < IN_FULL:
                self.full[f"{self.name}.{len(self.rows)}.{name}"] = values.detach()
        self.hashes += [hash_of(values) for values in hashed]
        self.rows.append(row)

    def tensors(self):
        yield f"{self.name}.cases", torch.tensor(self.rows, dtype=torch.uint8)
        if self.sums:
            yield f"{self.name}.sums", torch.tensor(self.sums, dtype=torch.float64)
        if self.hashes:
            yield f"{self.name}.hashes", torch.tensor(self.hashes, dtype=torch.int64)
        yield from self.full.items()


def backward(given, output, inputs):
    """The gradients by the inputs, of the output times random numbers."""
    gradients = torch.autograd.grad(output, inputs.values(), given.tensor(50, *output.shape))
    return {f"{name}_gradient": gradient for name, gradient in zip(inputs, gradients)}


def pooled(name, call, count, seed, choose):
    operator = Operator(name)
    for i in range(count):
        images, channels, height, width = choose.randint(1, 3), choose.randint(1, 3), choose.randint(1, 12), choose.randint(1, 12)
        boxes, out_height, out_width = choose.randint(0, 5), choose.randint(1, 4), choose.randint(1, 4)
        row = [choose.randint(0, 1), images, channels, height, width, boxes, out_height, out_width, choose.randint(0, 4),
               choose.randint(0, 1), choose.randrange(len(SCALES)), choose.randrange(len(SPREADS)), choose.randint(0, 1)]
        if name == "roi_align" and row[9] and row[11] == 3:
            row[8] = max(row[8], 2)  # torchvision refuses a negative number of samples
        single, *_, samples, aligned, scale, spread, whole = row
        given = Given(seed + i, single)
        if name == "ps_roi_align":
            channels *= out_height * out_width
        x = given.tensor(1, images, channels, height, width).requires_grad_()
        regions = given.boxes(boxes, height, width, SCALES[scale], spread, whole, images)
        output, hashed = call(x, regions, SCALES[scale], (out_height, out_width), samples - 1, bool(aligned))
        operator.add(row, given, {"output": output, **backward(given, output, {"input": x})}, hashed)
    return operator


def roi_align(x, boxes, scale, size, samples, aligned):
    return ops.roi_align(x, boxes, size, scale, samples, aligned), []


def roi_pool(x, boxes, scale, size, samples, aligned):
    output, places = torch.ops.torchvision.roi_pool(x, boxes, scale, *size)
    return output, [places]


def ps_roi_align(x, boxes, scale, size, samples, aligned):
    output, channels = torch.ops.torchvision.ps_roi_align(x, boxes, scale, *size, samples)
    return output, [channels]


def deform_conv2d(count, seed, choose):
    operator = Operator("deform_conv2d")
    while len(operator.rows) < count:
        groups, in_each, out_each = choose.choice((1, 1, 2, 3)), choose.randint(1, 3), choose.randint(1, 3)
        channels = groups * in_each
        offset_groups = choose.choice([n for n in (1, 2, 3, 4, 6) if channels % n == 0])
        kernel, stride = [choose.randint(1, 3) for _ in "yx"], [choose.randint(1, 3) for _ in "yx"]
        padding, dilation = [choose.randint(0, 2) for _ in "yx"], [choose.randint(1, 2) for _ in "yx"]
        size = [choose.randint(1, 9) for _ in "yx"]
        out = [(size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
        if min(out) < 1:
            continue
        images = choose.randint(1, 2)
        row = [choose.randint(0, 1), images, groups, in_each, out_each, offset_groups, *kernel, *stride, *padding, *dilation,
               *size, choose.randint(0, 1), choose.randint(0, 1), choose.randrange(len(OFFSETS)), choose.randint(0, 1)]
        masked, biased, offsets, whole = row[-4:]
        given = Given(seed + len(operator.rows), row[0])
        taps = kernel[0] * kernel[1]
        offset = given.tensor(2, images, 2 * offset_groups * taps, *out) * (OFFSETS[offsets] / 2)
        inputs = {"input": given.tensor(1, images, channels, *size), "offset": offset.floor() if whole else offset,
                  "weight": given.tensor(3, groups * out_each, in_each, *kernel)}
        if masked:
            inputs["mask"] = given.tensor(4, images, offset_groups * taps, *out)
        if biased:
            inputs["bias"] = given.tensor(5, groups * out_each)
        for tensor in inputs.values():
            tensor.requires_grad_()
        output = ops.deform_conv2d(inputs["input"], inputs["offset"], inputs["weight"], inputs.get("bias"), stride, padding,
                                   dilation, inputs.get("mask"))
        operator.add(row, given, {"output": output, **backward(given, output, inputs)})
    return operator


THRESHOLDS = (0.5, 0.3, 0.7, 0.0, 1.0, -0.1, 0.25)


def suppressed(name, count, seed, choose):
    operator = Operator(name)
    for i in range(count):
        large = name == "batched_nms" and i % 25 == 0
        row = [choose.randint(0, 1), choose.randint(126, 180) if large else choose.randint(0, 20), choose.randrange(len(THRESHOLDS)),
               choose.randrange(len(SPREADS)), choose.randint(0, 1), choose.randint(0, 1), choose.randint(1, 5)]
        single, eights, threshold, spread, whole, ties, classes = row
        given, boxes = Given(seed + i, single), 8 * eights
        x = given.boxes(boxes, 30, 40, 1.0, spread, whole, 0)
        scores = given.numbers(3, boxes)
        if ties and not large:
            scores = np.floor(scores * 10)
        arguments = [x, torch.from_numpy(scores).to(given.dtype)]
        if name == "batched_nms":
            arguments.append(torch.from_numpy(np.floor(given.numbers(4, boxes) * classes)).long())
        kept = getattr(ops, name)(*arguments, THRESHOLDS[threshold])
        operator.add(row, given, {}, [kept])
    return operator


def write(path, tensors):
    """The file's format: the length of a JSON header, the header, the tensors."""
    names = {torch.uint8: "U8", torch.int64: "I64", torch.float32: "F32", torch.float64: "F64"}
    header = {"__metadata__": {"torch": torch.__version__, "torchvision": torchvision.__version__}}
    data = b""
    for name, tensor in sorted(tensors, key=lambda item: -item[1].element_size()):
        raw = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    torch.set_num_threads(1)
    choose = random.Random(20)
    operators = [pooled("roi_align", roi_align, 2500, 0, choose), pooled("roi_pool", roi_pool, 2000, 10000, choose),
                 pooled("ps_roi_align", ps_roi_align, 2000, 20000, choose), deform_conv2d(2500, 30000, choose),
                 suppressed("nms", 700, 40000, choose), suppressed("batched_nms", 300, 50000, choose)]
    write(sys.argv[1], [item for operator in operators for item in operator.tensors()])


if __name__ == "__main__":
    main()
