"""The structs of a page: modules of one Python class whose forwards are equal but for numbers share one."""

import inspect
import re

from .graph import Expression, join_dims
from .layers import plain
from .modes import merged
from .refused import Refused
from .weight_specs import weights_of

# What a member of a module cannot be called: C++'s words, and members of torch::nn::Module.
TAKEN = set("""and asm auto bool break case catch char class const continue default delete do double else enum explicit
export extern false float for friend goto if inline int long mutable namespace new not operator or private protected
public register return short signed sizeof static struct switch template this throw true try typedef typename union
unsigned using virtual void volatile while xor nn torch convkit apply buffers children clone eval forward is_training
load modules name named_buffers named_children named_modules named_parameters parameters pretty_print register_buffer
register_module register_parameter replace_module reset save to train unregister_module zero_grad final override
shared_from_this""".split())


def identifier(name):
    name = re.sub(r"\W", "_", name)
    name = f"_{name}" if name[:1].isdigit() else name
    return f"{name}_" if name in TAKEN else name


class Parameter:
    """Of a struct's constructor, with its value for each module."""

    def __init__(self, name, values, default=None, place=1000):
        self.name, self.values, self.default, self.place = name, values, default, place

    @property
    def type(self):
        kinds = {type(value) for value in self.values.values()}
        if tuple in kinds:
            count = max(len(value) for value in self.values.values() if isinstance(value, tuple))
            return f"torch::ExpandingArray<{count}>"
        return "double" if float in kinds else "bool" if kinds == {bool} else "int64_t"


class Forward:
    """What a module does: one graph, or one for training and one for not."""

    def __init__(self, graphs):
        self.graphs = graphs  # (condition, graph), the last without a condition

    def structure(self, without=()):
        return tuple((condition, graph.structure(without)) for condition, graph in self.graphs)

    def numbers(self):
        return [number for _, graph in self.graphs for number in graph.numbers()]


def forward_of(m, path, evaluated, trained):
    """One forward of what a module does in both modes."""
    if evaluated is None or trained is None:
        return Forward([(None, evaluated or trained)])
    both = merged(m, path, evaluated, trained)
    return Forward([("is_training()", trained), (None, evaluated)] if both is None else [(None, both)])


def order_of(modules):
    """The names of all children, each after those that stand before it in its own module."""
    order = []
    for m in sorted(modules, key=lambda m: -sum(child is not None for child in m._modules.values())):
        place = 0
        for key in m._modules:
            if key not in order:
                order.insert(place, key)
            place = order.index(key) + 1
    return order


def aliases_of(m):
    """The names of children that are the same module as an earlier one, which has weights, and that one's name."""
    first, aliases = {}, {}
    for name, child in m._modules.items():
        if child is not None and first.setdefault(id(child), name) != name and [*child.parameters(), *child.buffers()]:
            aliases[name] = first[id(child)]
    return aliases


class Struct:
    def __init__(self, name, kind, modules, specs, forwards, constructed):
        self.name, self.kind, self.modules = name, kind, modules
        self.specs, self.forwards, self.constructed = specs, forwards, constructed
        self.parameters, self.optional, self.kinds = [], {}, {}
        self.children = {}   # key -> {id of the module: spec}
        for m in sorted(modules, key=lambda m: -len(m._modules)):
            for key, child in m._modules.items():
                if child is not None:
                    self.children.setdefault(key, {})[id(m)] = specs.of(child)
        self.children = {key: self.children[key] for key in order_of(modules) if key in self.children}
        self.aliases = aliases_of(modules[0])
        self.weights = {id(m): weights_of(m, specs) for m in modules}
        own = self.weights[id(modules[0])]
        self.taken = {identifier(key) for key in self.children} | {identifier(weight.name) for weight in own}
        self.candidates = self._candidates()
        self.bodies = []      # (condition, graph with this struct's expressions)
        self._find_optional()
        self.made = {key: [self._numbers_of(key, of) for _, of in self._find_kinds(key)] for key in self.children}
        self.weight_values = [
            self._resolve_all({id(m): self.weights[id(m)][i].values for m in modules}, weight.hints)
            for i, weight in enumerate(own)]
        self._make_bodies()
        self._order_parameters()

    @property
    def inputs(self):
        return self.bodies[0][1].inputs if self.bodies else []

    @property
    def is_block(self):
        return bool(self.bodies) and all(
            [node.type for node in graph.inputs] == ["Tensor"] and getattr(graph.output, "type", "") == "Tensor"
            for _, graph in self.bodies)

    def _candidates(self):
        """Numbers that all modules have under one name: what the constructor was given, then attributes."""
        found = {}
        signature = inspect.signature(self.kind.__init__).parameters
        places = {name: i for i, name in enumerate(signature)}
        given = {id(m): self.constructed.get(id(m), {}) for m in self.modules}
        attributes = {id(m): {name: value for name, value in vars(m).items() if name != "training" and name[:1] != "_"}
                      for m in self.modules}
        for source in (given, attributes):
            for name in source[id(self.modules[0])]:
                values = {key: plain(values.get(name)) for key, values in source.items()}
                fits = all(isinstance(v, (bool, int, float)) or isinstance(v, tuple) and all(
                    isinstance(i, int) for i in v) for v in values.values())
                if fits and name not in found:
                    default = signature[name].default if name in signature else None
                    default = default if isinstance(default, (bool, int, float)) else None
                    found[name] = Parameter(self._free(name), values, default, places.get(name, 1000))
        return list(found.values())

    def _free(self, name):
        name = identifier(name)
        while name in self.taken:
            name += "_"
        return name

    def _use(self, parameter):
        if parameter not in self.parameters:
            self.parameters.append(parameter)
            self.taken.add(parameter.name)
        return Expression(parameter.name)

    def _find_optional(self):
        for key, specs in self.children.items():
            if len(specs) < len(self.modules):
                present = {id(m): id(m) in specs for m in self.modules}
                self.optional[key] = self._switch(present, f"with_{key}")

    def _find_kinds(self, key):
        """The kinds of a child, each with the condition under which a module has it, and its specs."""
        kinds = {}
        for m, spec in self.children[key].items():
            kinds.setdefault(spec.key, {})[m] = spec
        kinds = sorted(kinds.values(), key=lambda specs: is_nothing(next(iter(specs.values()))))
        conditions = [None]
        if len(kinds) > 1:
            first, last = (next(iter(specs.values())) for specs in kinds)
            name = f"with_{key}" if is_nothing(last) else f"{key}_is_{first.type.rpartition(':')[2].lower()}" \
                if first.type != last.type else f"other_{key}"
            for order in (kinds, kinds[::-1]):
                condition = self._known_switch({id(m): id(m) in order[0] for m in self.modules})
                if condition:
                    kinds, conditions = order, [condition, None]
                    break
            else:
                conditions = [self._switch({id(m): id(m) in kinds[0] for m in self.modules}, name), None]
        self.kinds[key] = list(zip(conditions, kinds))
        return self.kinds[key]

    def _switch(self, present, name):
        """C++ that is true for the modules that have something."""
        return self._known_switch(present) or self._use(Parameter(self._free(name), present, False))

    def _known_switch(self, present):
        """The same of a number that the modules have, if there is one."""
        candidates = self.parameters + [c for c in self.candidates if c not in self.parameters]
        for kinds, test, text in (((bool,), lambda v: v, "{}"), ((bool,), lambda v: not v, "!{}"),
                                  ((int, float), lambda v: v > 0, "{} > 0"), ((int,), lambda v: v != 1, "{} != 1")):
            for c in candidates:
                if all(type(v) in kinds and test(v) == present[m] for m, v in c.values.items()):
                    return Expression(text.format(self._use(c)))
        return None

    def resolve(self, values, hint):
        """C++ of a number that differs between modules: `values` by their ids."""
        kinds = {(type(v), v) for v in values.values()}
        if len(values) < len(self.modules):  # an optional child's: its option may be the module's own
            for known in self.parameters:
                if hint.endswith(known.name) and all(known.values[key] == v and v not in (0, 1)
                                                     for key, v in values.items()):
                    return Expression(known.name)
            for known in self.parameters + self.candidates:  # large numbers are hardly alike by chance
                if all(type(v) is int and v >= 8 and known.values[key] == v for key, v in values.items()):
                    return self._use(known)
        if len(kinds) == 1 or len({str(v) for v in values.values()}) == 1:
            return next(iter(values.values()))
        if any(isinstance(v, Expression) for v in values.values()):
            raise Refused(self.kind, "", "instances differ in what training does")
        candidates = self.parameters + [c for c in self.candidates if c not in self.parameters]

        def fits(function):
            for candidate in candidates:
                if any(isinstance(candidate.values[key], tuple) for key in values):
                    if function is not None:
                        continue
                    matches = all(candidate.values[key] == v for key, v in values.items())
                else:
                    change = function or (lambda x: x)
                    matches = all(type(change(candidate.values[key])) is type(v) and change(candidate.values[key]) == v
                                  for key, v in values.items())
                if matches:
                    return candidate
            return None
        found = fits(None)
        if found:
            return self._use(found)
        if all(type(v) is int for v in values.values()):
            for factor in range(2, 17):
                found = fits(lambda x: factor * x if type(x) is int else None)
                if found:
                    return Expression(f"{factor} * {self._use(found)}")
                found = fits(lambda x: x // factor if type(x) is int and x % factor == 0 else None)
                if found:
                    return Expression(f"{self._use(found)} / {factor}")
            for text, function in (("{0} - 1", lambda x: x - 1), ("2 * {0} - 1", lambda x: 2 * x - 1),
                                   ("{0} * {0}", lambda x: x * x)):  # of windows and of what lies between their places
                found = fits(lambda x: function(x) if type(x) is int else None)
                if found:
                    return Expression(text.format(self._use(found)))
        if all(type(v) is float for v in values.values()):
            found = fits(lambda x: 1 - x if type(x) is float else None)
            if found:
                return Expression(f"1 - {self._use(found)}")
        everywhere = {id(m): values.get(id(m), next(iter(values.values()))) for m in self.modules}
        return self._use(Parameter(self._free(hint), everywhere))

    def _resolve_all(self, values, hints):
        keys = list(values)
        return [self.resolve({key: values[key][i] for key in keys}, hints[i]) for i in range(len(values[keys[0]]))]

    def _numbers_of(self, key, specs):
        first = next(iter(specs.values()))
        child = identifier(key)
        hints = [hint if hint.startswith(child) else f"{child}_{hint}" for hint in first.names_of_values()]
        return self._resolve_all({m: spec.values for m, spec in specs.items()}, hints)

    def _make_bodies(self):
        """The graphs with this struct's parameters, and the conditions under which they hold."""
        kinds = {}
        for m in self.modules:
            if not self.forwards[id(m)].graphs:
                continue  # It is never called, and may have the forward of others.
            missing = tuple(key for key in self.children if m._modules.get(key) is None)
            kinds.setdefault(self.forwards[id(m)].structure(), []).append((m, missing))
        groups = []  # modules whose graphs are equal where what is optional is left out
        for structure, members in kinds.items():
            for group in groups:
                if self._fits(group[0], members[0]) or self._fits(members[0], group[0]):
                    group += members
                    break
            else:
                groups.append(members)
        groups = [sorted(group, key=lambda member: len(member[1])) for group in groups]
        conditions = self._conditions(groups) if groups else []
        for group, condition in zip(groups, conditions):
            forwards = [(id(m), self.forwards[id(m)]) for m, _ in group]
            numbers = self._resolve_all({key: forward.numbers() for key, forward in forwards},
                                        ["number"] * len(forwards[0][1].numbers()))
            numbers = iter(numbers)
            for i, (training, graph) in enumerate(forwards[0][1].graphs):
                both = " && ".join(filter(None, (condition, training))) or None
                graph = graph.rebuilt(numbers)
                for m, missing in group:
                    join_dims([node for node in graph.nodes if not node.passes(missing)],
                              self.forwards[id(m)].graphs[i][1].nodes)
                self.bodies.append((both, graph))

    def _fits(self, full, other):
        (m, _), (n, missing) = full, other
        try:
            return self.forwards[id(m)].structure(missing) == self.forwards[id(n)].structure()
        except KeyError:
            return False

    def _conditions(self, groups):
        """C++ that is true for the modules of each group alone; None for the last."""
        if len(groups) == 1:
            return [None]
        if len(groups) > 2:
            raise Indistinct
        first, last = ([id(m) for m, _ in group] for group in groups)
        for candidate in self.candidates + self.parameters:
            here, there = ({candidate.values[key] for key in keys} for keys in (first, last))
            if here & there or len(here) > 1 or any(isinstance(v, (tuple, float)) for v in here):
                continue
            value = here.pop()
            name = self._use(candidate)
            if type(value) is bool:
                return [name if value else f"!{name}", None]
            return [f"{name} == {value}", None]
        raise Indistinct

    def _order_parameters(self):
        self.parameters.sort(key=lambda p: p.place)
        for parameter in reversed(self.parameters):  # defaults at the end alone
            if parameter.default is None:
                break
        else:
            return
        for before in self.parameters[:self.parameters.index(parameter)]:
            before.default = None


def is_nothing(spec):
    """Whether a child gives what it takes."""
    return spec.type == "nn::Identity" or spec.type == "convkit::Sequential" and not spec.parts


class Indistinct(Exception):
    """Modules of one class that no number tells apart."""
