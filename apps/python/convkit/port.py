"""Writes a Python module as a page of C++ for convkit and LibTorch.

Example: python -m convkit.port torchvision.models:resnet18 --input 1,3,224,224 -o resnet18.h

MODULE:CALLABLE names what makes the module, as for convkit.record. The page has one struct for each class of Python
that neither torch::nn nor convkit has, with Python's names, keys and order, and computes the same, in eval mode and in
training. Sizes stay symbolic; where the forward decides by them, the page checks that they are as in the example.

--project writes a folder with the page, a recording of the module, and a program that compares the two:

    python -m convkit.port mine.py:Net --input 2,3,64,64 --project port
    cmake -S port -B port/build -D CMAKE_PREFIX_PATH=... && cmake --build port/build && port/build/check

What C++ cannot say is refused by its name and line in Python, before anything is written. Exits with 2, and one line on
stderr, for that and for a wrong argument.
"""

import contextlib
import inspect
import os
import sys

import torch
from torch import nn

from . import options, project
from .calls import dtype_of, forward
from .faithful import check_constants, check_mode
from .formatting import formatted, indented
from .initial import elsewhere
from .inputs import drawn, read_files
from .making import make
from .options import program
from .origins import Origins
from .page import Page
from .refused import Refused
from .specs import Specs
from .structs import identifier
from .tracing import Tracer
from .weight_specs import weights_of


@contextlib.contextmanager
def watched_constructors():
    """Gives a dict, in which the arguments of the constructors come to stand, by the ids of their modules."""
    constructed, new = {}, nn.Module.__new__

    def watched(cls, *args, **kwargs):
        module = object.__new__(cls)
        try:
            given = inspect.signature(cls.__init__).bind(module, *args, **kwargs)
            given.apply_defaults()
            constructed[id(module)] = dict(list(given.arguments.items())[1:])
        except (TypeError, ValueError):
            pass  # its constructor says so itself
        return module

    nn.Module.__new__ = watched
    try:
        yield constructed
    finally:
        # Without a __new__ of its own, the class would take no arguments any more.
        nn.Module.__new__ = lambda cls, *args, **kwargs: new(cls)


def traced(module, inputs, specs, training):
    """What each module does, and the shapes; without leaving a trace in the module."""
    buffers = [(b, b.clone()) for b in module.buffers()]
    module.train(training)
    check_mode(module, training)
    tracer = Tracer(module, specs.leaf, specs.constants)
    torch.manual_seed(0)
    result = tracer.run([x.clone() for x in inputs])
    check_constants(module, specs.constants)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    return tracer, result


def grown(inputs, by):
    """Inputs of a batch that is one larger, and of images that are larger by so much."""
    def one(x):
        sizes = [n + 1 if d == 0 else n + by if d >= 2 and x.dim() >= 4 else n for d, n in enumerate(x.shape)]
        if x.is_floating_point():
            return torch.randn(sizes, dtype=x.dtype)
        return x.repeat(2, *[1] * (x.dim() - 1))[:sizes[0]]
    return [one(x) for x in inputs]


def other_sizes(module, inputs, specs):
    """A trace with other sizes that the module takes, and by how much its images are larger."""
    for by in (32, 0):
        try:
            return traced(module, grown(inputs, by), specs, False)[0], by
        except Refused:
            raise
        except Exception:  # The module does not take it.
            continue
    return None, None


def check_sizes(module, first, other):
    """Refuses a forward into which sizes went by ways that the trace did not see. Returns whether the page takes the
    other sizes."""
    for m in module.modules():
        for one, two in zip(first.graphs.get(id(m), []), other.graphs.get(id(m), [])):
            if one.decisions != two.decisions:
                return False  # The page checks that.
            if one.structure() == two.structure() and one.numbers() == two.numbers():
                continue
            other = next((a for a, b in zip(one.nodes, two.nodes) if (repr(a.args), a.target) != (repr(b.args), b.target)),
                         None)
            line = other.line if other else None
            raise Refused(type(m), first.paths[id(m)], "a number or a loop follows from sizes by other ways than whole "
                          "numbers", f"{line[0]}, line {line[1]}" if line else None)
    return True


def ported(module, inputs, constructed, origins):
    """The page of a module."""
    if isinstance(module, nn.DataParallel):
        raise Refused(type(module), "", "a wrapper: port its .module, and load its weights with .prefix = \"module.\"")
    specs = Specs(module, origins)
    if specs.leaf(module) is not None or specs.is_list(module):
        raise Refused(type(module), "", "C++ has this class, and its page would be empty")
    evaluated, _ = traced(module, inputs, specs, False)
    trained, _ = traced(module, inputs, specs, True)
    other, by = other_sizes(module, inputs, specs)
    takes = other is not None and check_sizes(module, evaluated, other)
    module.eval()
    page = Page(module, trained.shapes | evaluated.shapes, evaluated.graphs, trained.graphs, constructed, specs)
    page.larger = by if takes else None
    return page


def counted(things, one, several):
    return f"{len(things)} {one if len(things) == 1 else several}"


def page_of(module, inputs, constructed, origins, name, given):
    page = ported(module, inputs, constructed, origins)
    other = elsewhere(module, given.seed, page.specs)
    title = f"// {os.path.basename(given.callable)} in C++, by convkit.port with torch {torch.__version__}.\n"
    if other:
        title += (f"// Training from scratch starts elsewhere: {counted(other, 'tensor begins', 'tensors begin')} with "
                  f"other numbers than in Python, {other[0]} first.\n")
    empty = [f"{page.paths[id(m)]}.{weight.name}".lstrip(".") for m in module.modules() if id(m) in page.specs.structs
             for weight in weights_of(m, page.specs)
             if not (weight.is_parameter or weight.is_plain or weight.program or weight.numbers)]
    if empty:
        title += (f"// Load weights before use: {counted(empty, 'buffer has', 'buffers have')} numbers that Python's "
                  f"constructor computes, {empty[0]} first.\n")
    text, note = formatted(page.text(name, title))
    return page, indented(text) if note else text, [note] if note else [], other


def report(page, module, other):
    """A line for each class: what C++ has of it."""
    rows = {}
    for m in module.modules():
        kind = f"{type(m).__module__}.{type(m).__qualname__}"
        leaf = page.specs.known.get(id(m))
        if id(m) in page.specs.structs:
            says = f"ported as {page.specs.structs[id(m)].name}"
        elif leaf is not None:
            says = f"{'convkit' if leaf.type.startswith('convkit') else 'torch::nn'}'s {leaf.type}"
        else:
            says = f"written as {'convkit::Sequential' if Specs.is_sequential(m) else f'nn::{type(m).__name__}'}"
        rows.setdefault((kind, says), []).append(m)
    lines = [f"{kind}: {says}, {len(ms)} of them" for (kind, says), ms in rows.items()]
    lines.append("initial weights: those of the seed" if not other else
                 f"initial weights: {len(other)} tensors begin with other numbers than in Python, {other[0]} first")
    return lines


def main():
    given = options.port_arguments(__doc__)
    sources = read_files(given.inputs)
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    with watched_constructors() as constructed, Origins() as origins:
        module = make(given.callable, given.kwargs)
    inputs = drawn(sources, dtype_of(module))
    module.eval()
    with torch.no_grad(), origins:  # a first forward may make buffers too
        forward(module, [x.clone() for x in inputs])
    stem = given.output or given.callable.rpartition(":")[2].rpartition(".")[2]
    name = identifier(os.path.basename(stem).removesuffix(".h"))
    try:
        page, text, notes, other = page_of(module, inputs, constructed, origins, name, given)
    except Refused as refused:
        print(f"{program()}: {' '.join(str(refused).split())}", file=sys.stderr)
        sys.exit(2)
    if given.project:
        larger = None if page.larger is None else lambda inputs: grown(inputs, page.larger)
        notes += project.write(given, page, name, text, larger)
    else:
        notes += project.replaced(given.output, text)
    for note in notes:
        print(f"{program()}: {note}", file=sys.stderr)
    if given.report:
        print("\n".join(report(page, module, other)))
    structs = "1 struct" if len(page.structs) == 1 else f"{len(page.structs)} structs"
    print(f"{given.project or given.output}: {structs}, {text.count(chr(10))} lines")
    return page


if __name__ == "__main__":
    main()
