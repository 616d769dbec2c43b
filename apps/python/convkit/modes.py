"""One forward of what a module does in eval mode and in training: what training does beside the rest stands under
is_training(), and may give a variable another value."""

from .graph import Expression, Node, is_number, kind_of, nodes_in, walk
from .refused import Refused


class Differ(Exception):
    """Two graphs of which neither is the other with something put in."""


def numbers_of(value):
    found = []
    walk(value, found.append)
    return found


class Merging:
    def __init__(self, evaluated, trained):
        self.evaluated, self.trained = evaluated, trained
        self.same = {}     # the node of eval mode, by the id of that of training
        self.instead = {}  # what training puts in the place of another node: id -> the node in eval mode

    def is_alike(self, node, other):
        return (node.kind, node.target, kind_of(node)) == (other.kind, other.target, kind_of(other)) and \
            self.are_alike(node.args, other.args)

    def are_alike(self, value, other):
        if isinstance(value, Node):
            if not isinstance(other, Node):
                return False
            if id(value) in self.same:
                return self.same[id(value)] is other
            return self.replaces(value, other)
        if isinstance(value, slice) and isinstance(other, slice):
            return self.are_alike([value.start, value.stop, value.step], [other.start, other.stop, other.step])
        if isinstance(value, dict) and isinstance(other, dict):
            return list(value) == list(other) and self.are_alike(list(value.values()), list(other.values()))
        if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
            return len(value) == len(other) and all(map(self.are_alike, value, other))
        if is_number(value) and is_number(other):
            return isinstance(value, bool) == isinstance(other, bool)
        return repr(value) == repr(other)

    def replaces(self, value, other):
        """Whether training may give the variable of a value another one."""
        if id(value) in self.instead:
            return self.instead[id(value)] is other
        # What an operator in place gives has no variable of its own.
        if other in self.instead.values() or other.kind not in ("op", "call") or other.target.endswith("_") or \
                not kind_of(value) == kind_of(other) == "Tensor":
            return False
        self.instead[id(value)] = other
        return True

    def run(self):
        left = list(self.evaluated.nodes)
        for node in self.trained.nodes:
            before = dict(self.instead)
            if left and self.is_alike(node, left[0]):
                self.same[id(node)] = left.pop(0)
            else:
                self.instead = before
        if left:
            raise Differ
        self.check_output(self.trained.output, self.evaluated.output)
        trained = {id(other): node for node in self.trained.nodes if (other := self.same.get(id(node)))}
        merged = self.trained.rebuilt(self.numbers())
        for node, copy in zip(self.trained.nodes, merged.nodes):
            copy.training = id(node) not in self.same
            other = self.instead.get(id(node))
            if other is not None:
                if not copy.training:
                    raise Differ
                place = self.trained.nodes.index(trained[id(other)])
                copy.instead = merged.nodes[place]
                rest = self.trained.nodes[self.trained.nodes.index(node) + 1:]
                if any(used is trained[id(other)] for later in rest for used in nodes_in(later.args)) or any(
                        used is trained[id(other)] for used in nodes_in(self.trained.output)):
                    raise Differ
        return merged

    def check_output(self, trained, evaluated):
        """Checks that eval mode gives the same, or less: what only training computes is then undefined."""
        if self.are_alike(trained, evaluated):
            return
        members = dict(enumerate(trained)) if isinstance(trained, list) else trained
        if not isinstance(members, dict):
            raise Differ
        given = dict(enumerate(evaluated)) if isinstance(evaluated, list) else evaluated
        if isinstance(given, Node):
            given = {next(iter(members)): given}
        if not isinstance(given, dict) or not set(given) <= set(members):
            raise Differ
        for key, value in members.items():
            other = given.get(key)
            if other is None and value is not None:
                alone = isinstance(value, Node) and id(value) not in self.same and value.type in ("Tensor", "Tensors")
                if not alone or id(value) in self.instead:
                    raise Differ
            elif not self.are_alike(value, other):
                raise Differ

    def numbers(self):
        for node in self.trained.nodes:
            numbers = numbers_of(node.args)
            other = self.same.get(id(node))
            yield from map(joined, numbers_of(other.args), numbers) if other is not None else numbers
        yield from numbers_of(self.trained.output)


def joined(evaluated, trained):
    """A number of both modes."""
    if evaluated is False and trained is True:
        return Expression("is_training()")
    if evaluated is True and trained is False:
        return Expression("!is_training()")
    if evaluated == trained:
        return evaluated
    raise Differ


def merged(m, path, evaluated, trained):
    """The graph of both modes; None if they have too little in common."""
    try:
        return Merging(evaluated, trained).run()
    except Differ:
        pass
    if evaluated.structure() == trained.structure():
        one, other = next((a, b) for a, b in zip(evaluated.numbers(), trained.numbers()) if a != b)
        raise Refused(type(m), path, f"the number {one} in eval mode is {other} in training")
    return None
