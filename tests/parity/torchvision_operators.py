"""Import this before timm or torchvision. PyPI's torchvision brings its C++ operators for a CUDA torch
alone; beside a CPU torch two of them have to be declared for its Python parts to import. Beside a
complete torchvision nothing is declared, which would abort the process."""

import importlib.util
import pathlib

import torch


def _has_operators():
    folder = pathlib.Path(importlib.util.find_spec("torchvision").origin).parent
    if hasattr(torch.ops.torchvision, "nms"):  # record.py has declared them
        return True
    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(library)
            return True
        except OSError:
            pass
    return False


if not _has_operators():
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
