"""The command `convkit`, also `python -m convkit`: starts the tool in this package with the torch beside it."""

import importlib.util
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def refuse(text):
    print(f"convkit: {text}", file=sys.stderr)
    sys.exit(2)


def main():
    try:
        from ._built import TORCH
    except ModuleNotFoundError:
        refuse("this is convkit's source, and the tool is in what is built of it: build/apps/convkit/convkit")
    # To import torch would take two seconds.
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        refuse(f"it was built with torch {TORCH}, and this Python has none")
    torch = next(iter(spec.submodule_search_locations))
    with open(os.path.join(torch, "version.py"), encoding="utf-8") as file:
        version = re.search(r"^__version__ = '(.+)'", file.read(), re.M)[1]
    if not version.startswith(f"{TORCH}."):
        refuse(f"it was built with torch {TORCH}, but this Python's is {version}; "
               f"pip install 'torch=={TORCH}.*' or another convkit")
    if os.path.realpath(torch) != os.path.realpath(os.path.join(HERE, "..", "torch")):
        # The tool looks for torch beside the package; here it is in another folder of Python's path.
        paths = [os.path.join(torch, "lib"), os.environ.get("LD_LIBRARY_PATH")]
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, paths))
    os.execv(os.path.join(HERE, "bin", "convkit"), ["convkit", *sys.argv[1:]])


if __name__ == "__main__":
    main()
