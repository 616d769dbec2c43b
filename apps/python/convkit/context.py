"""One call of one module while it is traced: its graph, and which node of it each of Python's values is."""

import inspect
import os
import sys

import torch

from . import functional  # noqa: F401: it adds to the operators
from .graph import Graph, Node
from .operators import CONVERSIONS, DATA, FACTORIES, OPERATORS, PLAIN, TUPLES, bound, is_in_place, made
from .refused import HERE, TORCH, Refused
from .results import Record, has_tensors, kept_of, made as made_result, parts_of
from .sizes import Size, plain


class Context:
    """One call of one module."""

    def __init__(self, tracer, module, path):
        self.tracer, self.module, self.path = tracer, module, path
        self.graph = Graph([])
        self.values = {}  # the node of each tensor and list, by its id
        self.lists = {}   # what stood in a list when it was used last
        self.given = {}   # what stood in a list or dict when a call gave it, by its id
        self.floats = {}  # float() of sizes, and these, by the ids of the former
        self.kept = []    # so that no id comes twice
        self.closed = False
        self.grad = torch.is_grad_enabled()
        self.weights = None
        self.paths = {id(part): name for name, part in module.named_modules()}

    def refuse(self, what):
        frame = self.frame()
        where = f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}" if frame else None
        raise Refused(type(self.module), self.path, what, where)

    def frame(self):
        """The innermost of the module's own code."""
        return next(iter(self.frames()), None)

    def frames(self):
        frame = sys._getframe(1)
        call, own = self.tracer.call_code, type(self.module).forward.__code__.co_filename
        # A child's call of its own stands above, if it is that which asks.
        while frame.f_code.co_filename.startswith(HERE):
            if frame.f_code is call and frame.f_locals["context"] is self:
                break
            frame = frame.f_back
        while frame is not None and frame.f_code is not call:
            file = frame.f_code.co_filename
            if file == own or not file.startswith((TORCH, HERE)) and file[:1] != "<":
                yield frame
            frame = frame.f_back

    def line(self):
        frame = self.frame()
        return (os.path.basename(frame.f_code.co_filename), frame.f_lineno) if frame else None

    def add(self, node):
        self.graph.nodes.append(node)
        return node

    def bind(self, value, node):
        self.values[id(value)] = node
        self.kept.append(value)

    def known(self, value):
        """The node of a list or dict, if it holds the same as when a call gave it."""
        return self.values.get(id(value)) if self.given.get(id(value)) == members_of(value) else None

    def of(self, value):
        """What an argument is in the graph: a node, or a constant."""
        if isinstance(value, torch.Tensor):
            return self.values.get(id(value)) or self.weight(value)
        if isinstance(value, Size):
            if value.context is not self:
                known = self.values.get(id(value))
                return known or self.refuse("a size of a tensor that was no argument of this module")
            return value.node
        if id(value) in self.floats:
            return self.add(Node("op", "real", [self.of(self.floats[id(value)][1])], "double"))
        if isinstance(value, (list, tuple)):
            if id(value) in self.lists:
                return self.growing(value)
            known = self.known(value)
            return [self.of(inner) for inner in value] if known is None else known
        if isinstance(value, slice):
            return slice(self.of(value.start), self.of(value.stop), self.of(value.step))
        if value is None or value is Ellipsis or isinstance(value, (bool, int, float, str, torch.dtype, torch.device)):
            return value
        if isinstance(value, torch.memory_format):
            return value
        return self.refuse(f"an argument of type {type(value).__name__}")

    def weight(self, tensor):
        if self.weights is None:
            self.weights = {id(value): name for named in (self.module.named_parameters, self.module.named_buffers)
                            for name, value in named(remove_duplicate=False)}
        name = self.weights.get(id(tensor)) or self.constant(tensor)
        if name is None:
            self.refuse("a tensor that is neither an input nor a weight: it was kept outside of forward, or made by "
                        "other means than torch's functions")
        node = Node("weight", name)
        node.dims = tensor.dim()
        self.graph.nodes.append(node)
        self.bind(tensor, node)
        return node

    def constant(self, tensor):
        """The path of a tensor that is an attribute of a module."""
        for path, part in self.module.named_modules():
            for name, value in vars(part).items():
                if value is tensor and not tensor.requires_grad and not type(part).__module__.startswith("torch.nn."):
                    self.tracer.constants.setdefault(id(part), {})[name] = (tensor, tensor._version)
                    return f"{path}.{name}".lstrip(".")
        return None

    def growing(self, value):
        """A list that children are given, which may get longer from one to the next."""
        known = self.lists.get(id(value))
        if known is None or known[0] != [id(x) for x in value[:len(known[0])]]:
            node = Node("list", "list", [self.of(x) for x in value], "Tensors", self.line())
            self.bind(value, self.add(node))
        else:
            node = self.values[id(value)]
            for x in value[len(known[0]):]:
                self.add(Node("push", "push_back", [node, self.of(x)], "void", self.line()))
        self.lists[id(value)] = ([id(x) for x in value],)
        return node

    def argument(self, value, source):
        """What a child is given, and its type; that of a constant is None."""
        if type(value) in (list, tuple) and value and all(isinstance(inner, torch.Tensor) for inner in value):
            if type(value) is list and id(value) not in self.values or id(value) in self.lists:
                return self.growing(value), "Tensors"
            return self.of(value), "Tensors"
        return made_result(self, value, source) if has_tensors(value) else (value, None)

    def learn_names(self):
        """Looks up which variables of Python hold the values so far."""
        for frame in self.frames():
            for name, value in frame.f_locals.items():
                node = value.node if isinstance(value, Size) and value.context is self else self.values.get(id(value))
                if isinstance(node, Node) and node.name is None and node.kind not in ("input", "weight"):
                    node.name = name

    def detached(self, value, node):
        """Binds what a call inside of a no_grad of this forward gave."""
        if not isinstance(value, torch.Tensor):
            self.refuse("the call of a child inside of no_grad that does not give one tensor")
        self.give(value, node)
        return self.give(value, self.add(Node("op", "detach", [node], line=self.line())))

    def give_members(self, value, node, kinds=None):
        """Binds what is in a list or dict to items of its node."""
        members = kept_of(value) if kinds else dict(enumerate(value))
        given = {key: inner if inner is None else
                 self.give(inner, self.add(Node("item", key, [node])), kinds and kinds[key])
                 for key, inner in members.items()}
        if any(given[key] is not inner for key, inner in members.items()):  # sizes of this context
            value = type(value)(given.get(i, constant) for i, constant in enumerate(value))
        self.bind(value, node)
        self.given[id(value)] = members_of(value)
        return value

    def give(self, value, node, kind=None):
        """Binds what a call or an operator gave to its node; `kind` is the type of what it says itself."""
        if isinstance(value, torch.Tensor):
            node.type, node.dims = "Tensor", value.dim()
            self.bind(value, node)
            return value
        kept = {} if kind is None else kept_of(value)
        if len(kept) == 1 and isinstance(value, (list, tuple)) and len(value) > 1:  # beside constants
            self.give(*kept.values(), node, kind)
            return value
        if kind == "Tensors" or kind is None and isinstance(value, (list, tuple)) and value and all(
                isinstance(inner, torch.Tensor) for inner in value):
            named = type(value).__module__ == "torch.return_types"
            node.type = "Tuple" if named or node.target in TUPLES else "Tensors"
            return self.give_members(value, node)
        if isinstance(kind, Record):
            node.type = kind
            return self.give_members(value, node, kind.members)
        if kind == "int64_t":
            node.type = kind
            return Size(plain(value), node, self)
        if value is None:
            node.type = "void"
            return value
        return self.refuse(f"a result of type {type(value).__name__}")

    def give_tuple(self, value, node):
        """Binds what a module of C++ gave as a std::tuple; what is None there is undefined."""
        node.type = "Tuple"
        self.bind(value, node)
        self.given[id(value)] = members_of(value)
        for i, inner in enumerate(value):
            if inner is not None:
                give = self.give_tuple if isinstance(inner, tuple) else self.give
                give(inner, self.add(Node("item", i, [node])))
        return value

    def arguments(self, module, args, kwargs):
        """All arguments of a module of C++ that takes those of Python, but what is left at its default at the end."""
        signature = inspect.signature(module.forward)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        values, defaults = list(given.arguments.values()), [p.default for p in signature.parameters.values()]
        while values and values[-1] is defaults[len(values) - 1]:
            values.pop()
        return [self.of(value) for value in values]

    def size(self, value, tensor, dim):
        node = self.add(Node("op", "size", [self.of(tensor), dim], "int64_t"))
        return Size(value, node, self)

    def operator(self, function, args, kwargs):
        name = function.__name__
        if name == "__get__":
            name = getattr(function.__self__, "__name__", "?")
            if name == "shape":
                return tuple(self.size(n, args[0], i) for i, n in enumerate(function(*args)))
            if name in PLAIN:
                return function(*args)
        versions = [x._version if isinstance(x, torch.Tensor) else None for x in args]
        result = function(*plain(args), **plain(kwargs))
        if any(x is result and version is not None and x._version == version for x, version in zip(args, versions)):
            result = another(result)
        if name == "_assert" and isinstance(args[0], bool):  # the decision is written down already
            return result
        if name == "size":
            dim = args[1] if len(args) > 1 else kwargs.get("dim")
            if dim is not None:
                return self.size(result, args[0], dim)
            return tuple(self.size(n, args[0], i) for i, n in enumerate(result))
        if name == "numel":
            return Size(result, self.add(Node("op", "numel", [self.of(args[0])], "int64_t")), self)
        if name in PLAIN:
            return result
        if name == "_set_grad_enabled":
            return result
        if name == "__setitem__" and is_in_place(*plain(args)):
            return result
        args = self.without_gradient(args, function)
        if name in DATA:
            of = "its layout in memory" if name in ("data_ptr", "is_contiguous", "stride") else "data"
            self.refuse(f"{name.strip('_')}() of a tensor: what follows depends on {of}")
        if name not in OPERATORS and name not in CONVERSIONS and name != "new_tensor":
            self.refuse(f"torch's {name}, which has no form in C++ here yet")
        if torch.is_autocast_enabled("cpu"):
            self.refuse("autocast inside of forward")
        if name in CONVERSIONS and isinstance(result, torch.Tensor):
            layout = kwargs.get("memory_format") or torch.preserve_format
            name, args, kwargs = "to", (args[0], result.dtype, layout), {}
            if layout is torch.preserve_format and result.dtype == args[0].dtype and result.data_ptr() == args[0].data_ptr():
                self.bind(result, self.of(args[0]))
                return result
        like = None
        if name == "new_tensor":
            name, like, args = "tensor", self.of(args[0]), args[1:]
        try:
            arguments = made(name, args, kwargs) if name in FACTORIES else bound(name, args, kwargs)
        except (TypeError, ValueError) as error:
            self.refuse(f"torch's {name} with arguments that have no form in C++ here yet: {error}")
        if name in FACTORIES:
            like = like or next((x for x in self.graph.inputs if x.type == "Tensor"), None) or self.nearest_weight()
            if like is None or result.requires_grad:
                self.refuse(f"torch's {name} where neither an input nor a weight says on what device")
            arguments += [result.dtype]
        node = Node("op", name, [self.of(value) for value in arguments], line=self.line())
        if name in FACTORIES:
            node.args.append(like)
        self.graph.nodes.append(node)
        return self.give(result, node)

    def nearest_weight(self):
        """A weight of the module, which is where it is."""
        named = sorted(self.module.named_parameters(), key=lambda one: one[0].count("."))
        return self.weight(named[0][1]) if named else None

    def without_gradient(self, args, function):
        """The arguments of an operator, detached where it stands in a no_grad of this forward."""
        if torch.is_grad_enabled() == self.grad:
            return args
        if torch.is_grad_enabled():
            self.refuse("enable_grad inside of forward")

        def detached(value):
            if isinstance(value, (list, tuple)):
                return type(value)(map(detached, value))
            if not isinstance(value, torch.Tensor) or not value.requires_grad:
                return value
            if function.__name__.endswith("_"):
                self.refuse(f"{function.__name__} of what has a gradient, inside of no_grad")
            return self.give(value.detach(), self.add(Node("op", "detach", [self.of(value)], line=self.line())))
        return tuple(map(detached, args))

    def enter(self, parameters, values, kinds):
        """Makes inputs of the arguments that have a type. Returns the sizes, and tuples of sizes, that are this
        context's, by the ids of the caller's."""
        sizes = {}
        for name, value, kind in zip(parameters, values, kinds):
            if kind is not None:
                node = self.add(Node("input", name, type=kind))
                node.name = name
                self.graph.inputs.append(node)
                given = self.give(value, node, kind)
                if given is not value:
                    sizes[id(value)] = given
        return sizes


def another(tensor):
    """The same tensor as another object: which of the two Python uses later on is then known."""
    with torch._C.DisableTorchFunction():
        return tensor.view_as(tensor)


def members_of(value):
    """What tells whether a list or dict has changed."""
    parts = parts_of(value)
    return [id(inner) for inner in value] if parts is None else [(key, id(inner)) for key, inner in parts.items()]
