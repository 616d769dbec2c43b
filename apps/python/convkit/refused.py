"""What cannot be said in C++, and where Python says it."""

import inspect
import os

import torch

# Whose code is not the module's own.
TORCH = os.path.dirname(torch.__file__)
HERE = os.path.dirname(os.path.abspath(__file__))


class Refused(Exception):
    def __init__(self, kind, path, what, where=None):
        name = f"{kind.__module__}.{kind.__qualname__}"
        if where is None:
            try:
                where = f"{os.path.basename(inspect.getsourcefile(kind))}, line {inspect.getsourcelines(kind)[1]}"
            except (OSError, TypeError):
                where = "without a source"
        of = f" '{path}'" if path else ""
        super().__init__(f"{name}{of} ({where}): {what}")
        self.kind, self.path, self.what, self.where = kind, path, what, where
