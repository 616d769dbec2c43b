"""What becomes of a photograph, in C++ and in Python: images.py IMAGE_COST [THREADS...]

The two take turns, and the medians of 25 times are compared. Pillow has one thread, whatever THREADS says.
"""

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, what a torchvision for CUDA needs
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2

SIZES = ((480, 640, 256, 341), (1080, 1920, 232, 412), (256, 256, 224, 224))
# What the names mean is said beside Python's functions.
NAMES = [f"{name} {interpolation}" for name in ("pillow", "input", "tensor") for interpolation in ("bilinear", "bicubic")]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def python(name, interpolation):
    """The function that is timed, of a tensor of bytes, and of it as an image of Pillow's."""
    mode = InterpolationMode(interpolation)
    return {
        "pillow": lambda pixels, image, size: v2.resize(image, size, mode),
        "input": lambda pixels, image, size: v1.normalize(v1.to_tensor(v2.resize(image, size, mode)), MEAN, STD),
        "tensor": lambda pixels, image, size: v2.resize(pixels, size, mode),
    }[name]


def photographs(folder):
    """A photograph of 427 x 640 pixels, and one of 1280 x 1920, as JPEG and as PNG."""
    name = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images" / "china.jpg"
    image = Image.open(name)
    for sides in (image.size, (1920, 1280)):
        for ending, options in ((".jpg", {"quality": 90}), (".png", {})):
            path = folder / f"{sides[1]}x{sides[0]}{ending}"
            image.resize(sides).save(path, **options)
            yield path


def alternately(worker, function, line):
    """The medians of Python's function and of what C++ does for the line, in milliseconds."""
    times = []
    for _ in range(28):
        start = time.perf_counter()
        function()
        theirs = time.perf_counter() - start
        worker.stdin.write(f"{line}\n")
        worker.stdin.flush()
        times.append((theirs, float(worker.stdout.readline())))
    return (statistics.median(values) * 1e3 for values in zip(*times[3:]))


def main():
    for threads in sys.argv[2:] or ("1", "2"):
        torch.set_num_threads(int(threads))
        worker = subprocess.Popen([sys.argv[1], threads], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(f"{threads} thread(s), milliseconds: Python, C++, Python / C++")

        def compare(name, what, function, line):
            theirs, ours = alternately(worker, function, line)
            print(f"{name:16} {what:24} {theirs:8.2f} {ours:8.2f} {theirs / ours:6.2f}", flush=True)

        with tempfile.TemporaryDirectory() as folder:
            for path in photographs(Path(folder)):
                compare("read", path.name, lambda: Image.open(path).convert("RGB"), f"read {path}")
        for name in NAMES:
            for sizes in SIZES:
                pixels = torch.randint(0, 256, (3, *sizes[:2]), dtype=torch.uint8)
                image = v2.to_pil_image(pixels)
                compare(name, "{}x{} -> {}x{}".format(*sizes),
                        lambda: python(*name.split())(pixels, image, sizes[2:]), f"{name} {' '.join(map(str, sizes))}")
        worker.stdin.close()


if __name__ == "__main__":
    main()
