"""Runs a module once, and writes down for each call of each module in it what its forward did.

The tensors are real ones: everything that Python asks of them has an answer, and only what torch does is written down.
Sizes are whole numbers that know where they come from; comparing them writes down a decision, which C++ checks.
"""

import inspect

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .calls import leaves
from .context import Context, another
from .graph import Node
from .results import made as made_result
from .sizes import Size

SEQUENTIAL = nn.Sequential.forward


class Tracer(TorchFunctionMode):
    """Traces one run. `leaf_of` gives what C++ has of a module, or None: what a leaf does is not looked at."""

    def __init__(self, module, leaf_of, constants):
        super().__init__()
        self.root, self.leaf_of = module, leaf_of
        self.paths = {id(part): name for name, part in module.named_modules()}
        self.stack = []
        self.graphs = {}  # of each module by its id, one for each call
        self.constants = constants  # of each module by its id: the tensors that are attributes of it
        self.shapes = {}  # of each module by its id: what its first call took and gave

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        context = self.stack[-1] if self.stack else None
        if context is None:
            return function(*args, **kwargs)
        context.learn_names()
        return context.operator(function, args, kwargs)

    def call(self, original, module, args, kwargs):
        if not self.stack and self.graphs or self.stack and self.stack[-1] is None:
            return original(module, *args, **kwargs)
        parent, context = self.stack[-1] if self.stack else None, None
        path = self.paths.get(id(module))
        node = None
        parameters, values = arguments_of(module, args, kwargs)
        if parent is not None:
            parent.learn_names()
            if id(module) not in parent.paths:
                parent.refuse(f"the call of a {type(module).__name__} that is no part of the module")
            if torch.is_grad_enabled() and not parent.grad:
                parent.refuse("the call of a child inside of enable_grad")
            given = [parent.argument(value, (id(module), name)) for name, value in zip(parameters, values)]
            node = Node("call", parent.paths[id(module)], [taken for taken, kind in given if kind], line=parent.line())
            kinds = [kind for _, kind in given]
            node.names = [name for name, kind in zip(parameters, kinds) if kind]
            node.constants = {name: value for name, value, kind in zip(parameters, values, kinds) if not kind}
        else:
            kinds = ["Tensor"] * len(values)
        self.stack.append(None)  # What it asks of weights is no part of the forward.
        leaf = self.leaf_of(module) if parent is not None else None
        self.stack.pop()
        if leaf is not None:
            if leaf.parameters:
                node.args = parent.arguments(module, args, kwargs)
            elif any(p != "input" for p in parameters[1:]) and len(values) > 1:
                parent.refuse(f"{type(module).__name__} with more than one argument")
            self.stack.append(None)
        else:
            context = Context(self, module, path)
            self.stack.append(context)
            sizes = context.enter(parameters, values, kinds)
            args = [sizes.get(id(value), value) for value in args]
            kwargs = {name: sizes.get(id(value), value) for name, value in kwargs.items()}
            context.graph.constants = {name: value for name, value, kind in zip(parameters, values, kinds) if not kind}
        try:
            result = original(module, *args, **kwargs)
            if context is not None:
                context.graph.output, context.graph.result = output_of(context, result)
                context.closed = True
                context.graph.prune()
                context.graph.line = inspect.getsourcelines(type(module).forward)[1] if parent is None else None
                self.graphs.setdefault(id(module), []).append(context.graph)
        finally:
            self.stack.pop()
        self.shapes.setdefault(id(module), (leaves(dict(zip(parameters, values))), result))
        if parent is None:
            return result
        if any(result is value for value in values):
            result = another(result)
        parent.graph.nodes.append(node)
        if leaf is not None and isinstance(result, tuple):
            if torch.is_grad_enabled() != parent.grad:
                parent.refuse("the call of a child inside of no_grad that does not give one tensor")
            return parent.give_tuple(result, node)
        if torch.is_grad_enabled() != parent.grad:
            return parent.detached(result, node)
        return parent.give(result, node, context and context.graph.result)

    def run(self, inputs):
        original = nn.Module.__call__
        tracer = self

        def call(module, *args, **kwargs):
            return tracer.call(original, module, args, kwargs)

        def apply(function, *args, **kwargs):
            if self.stack and self.stack[-1] is not None:
                self.stack[-1].refuse(f"the autograd function {function.__name__}: its backward has no form in C++")
            return own_gradient(function, *args, **kwargs)

        self.call_code = Tracer.call.__code__
        own_gradient = torch.autograd.Function.apply.__func__
        nn.Module.__call__ = call
        torch.autograd.Function.apply = classmethod(apply)
        try:
            with self:
                return self.root(*inputs)
        finally:
            nn.Module.__call__ = original
            torch.autograd.Function.apply = classmethod(own_gradient)


def arguments_of(module, args, kwargs):
    """The names and values of what a forward was called with."""
    try:
        bound_arguments = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return [f"x{i}" for i in range(len(args))], list(args)
    names, values = [], []
    for name, value in bound_arguments.arguments.items():
        kind = bound_arguments.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}{i}" for i in range(len(value))]
            values += value
        elif kind is inspect.Parameter.VAR_KEYWORD:
            names += value.keys()
            values += value.values()
        else:
            names.append(name)
            values.append(value)
    return names, values


def output_of(context, result):
    if result is None or isinstance(result, int) and not isinstance(result, Size):
        context.refuse(f"a result of type {type(result).__name__}")
    return made_result(context, result, (id(context.module), "Output"))
