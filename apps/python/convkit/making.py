"""Makes the module that a command line names by MODULE:CALLABLE and --kwargs."""

import importlib
import importlib.util
import inspect
import json
import os
import sys

import torch
from torch import nn

from . import torchvision_operators
from .options import fail


def find(name):
    torchvision_operators.declare_where_missing()
    module, _, attribute = name.rpartition(":")
    if module.endswith(".py"):
        if not os.path.isfile(module):
            fail("MODULE:CALLABLE", "a file that exists", module)
        sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
        spec = importlib.util.spec_from_file_location(os.path.basename(module)[:-3], module)
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    else:
        sys.path.insert(0, os.getcwd())
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # One that the module itself imports is another matter.
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            fail("MODULE:CALLABLE", "a module that can be imported", f"{module}: {error}")
    for part in attribute.split("."):
        if not hasattr(found, part):
            fail("MODULE:CALLABLE", f"a name in {module}", attribute)
        found = getattr(found, part)
    if isinstance(found, nn.Module):
        fail("MODULE:CALLABLE", "a class or function that makes the module", f"{name}, a {type(found).__name__} itself")
    if not callable(found):
        fail("MODULE:CALLABLE", "a class or function", f"{name}, of type {type(found).__name__}")
    return found


def make(name, kwargs):
    made = find(name)
    try:
        inspect.signature(made).bind(**kwargs)
    except TypeError as error:
        fail("--kwargs", f"what {name} takes", f"{json.dumps(kwargs)}: {error}")
    except ValueError:
        pass  # What is written in C may have no signature.
    module = made(**kwargs)
    if not isinstance(module, nn.Module):
        fail("MODULE:CALLABLE", f"{name} to give a torch.nn.Module", type(module).__name__)
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            fail("MODULE:CALLABLE", "modules of Python", f"the ScriptModule '{path}', which has no hooks")
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(value):
            fail("MODULE:CALLABLE", "a module with all its weights",
                 f"'{key}' without a shape; let {name} call a lazy module once")
    return module
