"""convkit's Python side: `python -m convkit.record` records what a module computes, and `python -m convkit.port`
writes it in C++. It needs torch, safetensors and numpy. The package that pip installs also has the library and the
tool: `cmake_prefix_path` is where CMake finds them."""

import os

try:
    from ._built import VERSION as __version__
except ModuleNotFoundError:  # in convkit's source
    __version__ = "0+source"

cmake_prefix_path = os.path.dirname(os.path.abspath(__file__))
