"""How a constructor computes the buffers that it makes: C++ computes them by the same operators."""

import sys

import torch
from torch.overrides import TorchFunctionMode

from .graph import Expression, Graph, Node, nodes_in
from .operators import FACTORIES, OPERATORS, PLAIN, bound, is_in_place, literal, made
from .refused import HERE, TORCH
from .weight_specs import LONGEST

LARGEST = 2**22   # of the tensors that are looked at: a table of numbers is smaller than weights


class Unknown(Exception):
    """A value of which it is not known how it came to be."""


class Origins(TorchFunctionMode):
    """Writes down, while a module is made, what torch is asked to compute of nothing but numbers."""

    def __init__(self):
        super().__init__()
        self.nodes, self.calls, self.places = [], {}, {}  # of each node by its id: the call itself, the memory
        self.values, self.kept = {}, []                   # the node of each tensor by its id

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.learn_names()
        result = function(*args, **kwargs)
        name = function.__name__
        if name != "__get__" and name not in PLAIN:
            try:
                self.note(name, function, args, kwargs, result)
            except (Unknown, TypeError, ValueError):
                if args and isinstance(args[0], torch.Tensor) and name.endswith("_"):
                    self.forget(args[0])
        return result

    def learn_names(self):
        """Looks up which variables of the code that asks hold the values so far."""
        frame, seen = sys._getframe(1), 0
        while frame is not None and seen < 2:
            if not frame.f_code.co_filename.startswith((TORCH, HERE)):
                seen += 1
                for name, value in frame.f_locals.items():
                    node = self.values.get(id(value)) if isinstance(value, torch.Tensor) else None
                    if node is not None and node.name is None and name != "self":
                        node.name = name
            frame = frame.f_back

    def forget(self, tensor):
        place = tensor.untyped_storage().data_ptr()
        self.values = {key: node for key, node in self.values.items() if self.places[id(node)] != place}

    def of(self, value):
        if isinstance(value, torch.Tensor):
            if id(value) not in self.values:
                raise Unknown
            return self.values[id(value)]
        if isinstance(value, (list, tuple)):
            return [self.of(inner) for inner in value]
        if isinstance(value, slice):
            return slice(value.start, value.stop, value.step)
        return value

    def call_of(self, value):
        """Arguments as Python had them, with nodes in the place of tensors."""
        if isinstance(value, torch.Tensor):
            return self.of(value)
        if type(value) in (list, tuple):
            return type(value)(map(self.call_of, value))
        return {key: self.call_of(inner) for key, inner in value.items()} if type(value) is dict else value

    def bind(self, tensor, node):
        node.dims = tensor.dim()
        self.values[id(tensor)] = node
        self.places[id(node)] = tensor.untyped_storage().data_ptr()
        self.kept.append(tensor)

    def note(self, name, function, args, kwargs, result):
        whole = isinstance(result, torch.Tensor) and result.numel() <= LARGEST
        if name in ("tensor", "as_tensor") and whole and not isinstance(args[0], torch.Tensor):
            if result.numel() > LONGEST:
                raise Unknown
            arguments = [*table(result), result.dtype]
            name = "numbers"
        elif name in FACTORIES:
            arguments = [*made(name, args, kwargs), result.dtype, None]
        elif name == "to":
            if result is args[0]:
                return
            arguments = [args[0], result.dtype]
        elif name == "copy_" and args[0].shape == args[1].shape and \
                args[0].numel() * args[0].element_size() == args[0].untyped_storage().nbytes():
            source = self.of(args[1])  # all of it is new, whatever it was
            if args[0].dtype == args[1].dtype:
                self.values[id(args[0])] = source
                self.kept.append(args[0])
                return
            name, arguments, function, args, kwargs = "to", [args[1], result.dtype], torch.Tensor.to, \
                (args[1], result.dtype), {}
        elif name == "__setitem__" and is_in_place(*args):
            return
        elif name in OPERATORS:
            arguments = bound(name, args, kwargs)
        else:
            raise Unknown
        node = Node("op", name, [self.of(value) for value in arguments])
        self.calls[id(node)] = (function, self.call_of(args), self.call_of(kwargs))
        self.nodes.append(node)
        if whole:
            self.bind(result, node)
        elif isinstance(result, (list, tuple)) and all(isinstance(inner, torch.Tensor) for inner in result):
            node.type = "Tensors"
            self.places[id(node)] = None
            for i, inner in enumerate(result):
                item = Node("item", i, [node])
                self.nodes.append(item)
                self.bind(inner, item)
            self.kept.append(result)
        elif result is None and name == "__setitem__":
            node.type = "void"
            self.places[id(node)] = args[0].untyped_storage().data_ptr()
        else:
            self.nodes.pop()
            raise Unknown

    def program(self, buffer):
        """The graph that computes a buffer, if it gives the same bits again; else None."""
        last = self.values.get(id(buffer))
        if last is None:
            return None
        places, wanted, taken = {self.places[id(last)]}, {id(last)}, []
        for node in reversed(self.nodes):
            if id(node) in wanted or self.places[id(node)] in places - {None}:
                taken.append(node)
                for inner in nodes_in(node.args):
                    wanted.add(id(inner))
                    places.add(self.places[id(inner)])
        graph = Graph([])
        graph.nodes, graph.output = taken[::-1], last
        again = self.again(graph)
        return graph if again is not None and again.dtype == buffer.dtype and torch.equal(again, buffer) else None

    def again(self, graph):
        """The tensor that the graph computes."""
        done = {}

        def new(value):
            if isinstance(value, Node):
                return done[id(value)]
            if type(value) in (list, tuple):
                return type(value)(map(new, value))
            return {key: new(inner) for key, inner in value.items()} if type(value) is dict else value
        try:
            for node in graph.nodes:
                if node.kind == "item":
                    done[id(node)] = done[id(node.args[0])][node.target]
                else:
                    function, args, kwargs = self.calls[id(node)]
                    done[id(node)] = function(*new(args), **new(kwargs))
            return done[id(graph.output)]
        except (KeyError, RuntimeError, TypeError):
            return None


def table(tensor):
    """The numbers of a tensor as C++ lists them, and its sizes."""
    numbers = ", ".join(literal(number) for number in tensor.flatten().tolist())
    return [Expression(f"{{{numbers}}}"), None if tensor.dim() == 1 else list(tensor.shape)]
