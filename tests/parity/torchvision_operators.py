"""Import this before timm or torchvision: it declares at once, without a word, what the package convkit declares when
torchvision is imported and its C++ operators do not load."""

import importlib.util
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "apps" / "python"))
from convkit.torchvision_operators import declare  # noqa: E402

declare(importlib.util.find_spec("torchvision"))
