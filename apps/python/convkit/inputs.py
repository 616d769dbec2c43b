"""The inputs of what is recorded: random numbers, and what files hold."""

import ast
import math
import os

import torch
from safetensors import safe_open

from .options import Random, fail

# What numpy calls them, after the order of the bytes.
DTYPES = {"b1": torch.bool, "i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64,
          "u1": torch.uint8, "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64, "f2": torch.float16,
          "f4": torch.float32, "f8": torch.float64, "c8": torch.complex64, "c16": torch.complex128}
LONGEST_HEADER = 10000  # of which numpy itself reads no more


def read_header(file):
    """The description that an .npy file begins with."""
    if file.read(6) != b"\x93NUMPY":
        raise ValueError("no array that numpy.save wrote")
    version = file.read(2)
    if version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"version {list(version)} of the format")
    length = int.from_bytes(file.read(2 if version == b"\1\0" else 4), "little")
    text = file.read(min(length, LONGEST_HEADER))
    try:
        header = ast.literal_eval(text.decode("utf-8" if version == b"\3\0" else "latin-1").strip())
        shape = header["shape"]
        sound = len(text) == length and isinstance(shape, tuple) and isinstance(header["fortran_order"], bool)
        sound = sound and len(shape) <= 64 and all(type(size) is int and 0 <= size < 2**63 for size in shape)
        return header["descr"], shape, header["fortran_order"] if sound else None
    except (LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return None, None, None


def read_npy(path):
    """What numpy.save wrote, without numpy, and without the objects that a file can make Python run."""
    with open(path, "rb") as file:
        descr, shape, fortran_order = read_header(file)
        if fortran_order is None:
            raise ValueError("a damaged header")
        if not isinstance(descr, str) or descr[:1] not in ("<", ">", "|") or descr[1:] not in DTYPES:
            raise ValueError(f"the dtype {descr!r}, which torch does not have")
        dtype = DTYPES[descr[1:]]
        size = math.prod(shape) * dtype.itemsize
        left = os.fstat(file.fileno()).st_size - file.tell()
        if left != size:
            raise ValueError(f"{left} bytes for the shape {list(shape)} of {dtype}, which takes {size}")
        # Of nothing frombuffer makes no tensor.
        data = torch.frombuffer(bytearray(file.read()) or bytearray(1), dtype=torch.uint8)[:size]
    if descr[0] == ">":
        word = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        data = data.view(-1, word).flip(1).flatten()
    # A byte that is neither 0 nor 1 is no bool.
    data = data != 0 if dtype == torch.bool else data.view(dtype)
    if fortran_order:
        return data.reshape(shape[::-1]).permute(tuple(reversed(range(len(shape))))).contiguous()
    return data.reshape(shape)


def by_number(name):
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def read_safetensors(path, name):
    """The tensor of this name; without one all, in the order of their names, where 2 comes before 10."""
    with safe_open(path, "pt") as file:
        names = sorted(file.keys(), key=by_number)
        if not names:
            raise ValueError("no tensor")
        if name is not None and name not in names:
            raise ValueError(f"no {name}, but {', '.join(names)}")
        return [file.get_tensor(key) for key in (names if name is None else [name])]


def read_file(given):
    try:
        if not os.path.isfile(given.path):
            raise ValueError("a folder" if os.path.isdir(given.path) else "no such file")
        return [read_npy(given.path)] if given.path.endswith(".npy") else read_safetensors(given.path, given.name)
    except Exception as error:  # Each format has its own.
        expected = "an .npy file of numbers" if given.path.endswith(".npy") else "a .safetensors file"
        fail("--input", expected, f"{given.path}: {str(error) or type(error).__name__}")


def read_files(given):
    """The inputs, of which those are still a Random that no file has."""
    return [source for one in given for source in ([one] if isinstance(one, Random) else read_file(one))]


def random(source, dtype):
    return torch.randn(source.shape, dtype=dtype) if source.bound is None else torch.randint(source.bound, source.shape)


def drawn(sources, dtype):
    """The inputs, with random numbers in the place of each Random."""
    try:
        return [random(source, dtype) if isinstance(source, Random) else source for source in sources]
    except (RuntimeError, TypeError) as error:
        shapes = [source.shape for source in sources if isinstance(source, Random)]
        fail("--input", f"sizes of a {dtype} tensor that fits in memory", f"{shapes}: {error}")


def another(x, source):
    """One more input of the kind: other random numbers, or those of the file in another order."""
    if isinstance(source, Random):
        return random(source, x.dtype)
    return x.flatten()[torch.randperm(x.numel())].view(x.shape)
