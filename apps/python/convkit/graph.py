"""What a forward does: a list of nodes, and its numbers apart from its structure."""

import torch


class Node:
    """A value of a forward. `kind` says how it comes to be: "input", "weight" (of the module or of what is in it),
    "call" of a child, "op", "item" of a list, "list" and "push", or "check", a decision that the example made."""

    def __init__(self, kind, target, args=(), type="Tensor", line=None):
        self.kind, self.target, self.args, self.type, self.line = kind, target, args, type, line
        self.name = None  # of the variable that holds it in Python
        self.dims = None  # of a tensor
        self.training = False  # whether only training does it
        self.instead = None    # the node whose variable it gives another value, in training
        self.default = None  # of an input: C++ of what it is when it is left out
        self.names, self.constants = [], {}  # of a call: what its arguments are called, and the other arguments

    def __repr__(self):
        return f"{self.kind} {self.target}"

    def maps_one(self):
        """Whether it gives one tensor of one tensor, so that the latter can stand where a child is missing."""
        return self.type == "Tensor" and [getattr(given, "type", None) for given in self.args] == ["Tensor"]

    def passes(self, without):
        """Whether it gives its argument where the children `without` are missing."""
        return self.kind == "call" and self.target in without and self.maps_one()


class Expression(str):
    """C++ that stands for a number: a parameter of the constructor, or is_training()."""


class Graph:
    def __init__(self, inputs):
        self.inputs = inputs
        self.nodes = list(inputs)
        self.output, self.result = None, "Tensor"  # the value, and its type
        self.constants = {}  # the other arguments
        self.decisions = []
        self.line = None

    def prune(self):
        """Leaves out sizes and members of lists that nobody asked for."""
        used = {id(node) for node in nodes_in(self.output)}
        kept = []
        for node in reversed(self.nodes):
            if id(node) in used or not (node.kind == "item" or node.kind == "op" and node.type == "int64_t"):
                used |= {id(inner) for inner in nodes_in(node.args)}
                kept.append(node)
        self.nodes = kept[::-1]

    def numbers(self):
        """The numbers of all nodes, in the order of rebuilt()."""
        found = []
        for node in self.nodes:
            walk(node.args, found.append)
        walk(self.output, found.append)
        return found

    def structure(self, without=()):
        """Everything but the numbers, as what can be compared. Calls of the children `without` give their argument."""
        index, rows = {}, []

        def place(value):
            while value.passes(without):
                value = value.args[0]
            return ("node", index[id(value)])

        def shape_of(value):
            if isinstance(value, Node):
                return place(value)
            if isinstance(value, (list, tuple)):
                return ("list", *map(shape_of, value))
            if isinstance(value, dict):
                return ("dict", *((key, shape_of(inner)) for key, inner in value.items()))
            if isinstance(value, slice):
                return ("slice", shape_of(value.start), shape_of(value.stop), shape_of(value.step))
            if is_number(value):
                return "bool" if isinstance(value, bool) else "number"
            return repr(value)

        for node in self.nodes:
            if node.passes(without):
                continue
            index[id(node)] = len(index)
            instead = node.instead and place(node.instead)
            rows.append((node.kind, node.target, kind_of(node), shape_of(node.args), node.training, instead))
        return tuple(rows), shape_of(self.output)

    def rebuilt(self, numbers):
        """The same graph with other numbers: an iterator gives them in the order of numbers()."""
        copies = {}

        def copied(value):
            if isinstance(value, Node):
                return copies[id(value)]
            if isinstance(value, (list, tuple)):
                return type(value)(map(copied, value)) if type(value) in (list, tuple) else list(map(copied, value))
            if isinstance(value, dict):
                return {key: copied(inner) for key, inner in value.items()}
            if isinstance(value, slice):
                return slice(copied(value.start), copied(value.stop), copied(value.step))
            return next(numbers) if is_number(value) else value

        graph = Graph([])
        for node in self.nodes:
            copy = Node(node.kind, node.target, copied(node.args), node.type, node.line)
            copy.name, copy.dims, copy.default, copy.training = node.name, node.dims, node.default, node.training
            copy.instead = copies.get(id(node.instead))
            copies[id(node)] = copy
            graph.nodes.append(copy)
        graph.inputs = [copies[id(node)] for node in self.inputs]
        graph.output, graph.result, graph.constants = copied(self.output), self.result, self.constants
        graph.line = self.line
        return graph


def join_dims(nodes, others):
    """Forgets of how many dimensions a tensor is where it has others in another run of the same nodes."""
    for node, other in zip(nodes, others, strict=True):
        if node.dims != other.dims:
            node.dims = None


def kind_of(node):
    """What its type is, without the members of records."""
    return node.type if isinstance(node.type, str) else "record"


def is_number(value):
    return isinstance(value, (bool, int, float)) and not isinstance(value, torch.SymInt)


def walk(value, found):
    """Calls `found` with each number in a nested argument."""
    if isinstance(value, (list, tuple)):
        for inner in value:
            walk(inner, found)
    elif isinstance(value, dict):
        for inner in value.values():
            walk(inner, found)
    elif isinstance(value, slice):
        for inner in (value.start, value.stop, value.step):
            walk(inner, found)
    elif is_number(value):
        found(value)


def nodes_in(value):
    if isinstance(value, Node):
        return [value]
    if isinstance(value, (list, tuple)):
        return [node for inner in value for node in nodes_in(inner)]
    if isinstance(value, dict):
        return [node for inner in value.values() for node in nodes_in(inner)]
    if isinstance(value, slice):
        return nodes_in([value.start, value.stop, value.step])
    return []
