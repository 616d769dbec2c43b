"""PyPI's torchvision brings its C++ operators for a CUDA torch. Beside a CPU torch they do not load, and then its
Python parts do not import: they describe operators that nobody has declared."""

import importlib.abc
import importlib.util
import pathlib
import sys

import torch

# Those that its Python parts describe.
OPERATORS = ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
             "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
declared = []  # kept, since what it declares goes with it


def _have_loaded(folder):
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(library)
            return True
        except OSError:
            pass
    return False


def declare(spec):
    """Declares the operators for the torchvision of this spec if its own do not load; returns whether it did. Beside
    those of a complete torchvision a second declaration would abort the process."""
    if spec is None or not spec.origin or _have_loaded(pathlib.Path(spec.origin).parent):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        library.define(operator)
    declared.append(library)
    return True


class Finder(importlib.abc.MetaPathFinder):
    """Is asked for torchvision before Python looks for it, and leaves the finding to others."""

    def find_spec(self, name, path, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if declare(spec):
            print("convkit: torchvision's C++ operators do not load beside this torch: its Python parts go without "
                  "them", file=sys.stderr)
        return spec


def declare_where_missing():
    """Declares the operators when torchvision is imported and they do not load."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
