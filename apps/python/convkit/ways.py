"""Modules that are called in several ways: with other flags, or with and without an argument that may be None. Such an
argument becomes one of forward in C++, which decides by it."""

import inspect

from .graph import Node, join_dims
from .operators import literal
from .refused import Refused
from .results import Record
from .structs import Forward, forward_of, identifier

CONSTANTS = (bool, int, float, str, type(None))


def defaults_of(m):
    try:
        parameters = inspect.signature(m.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: None if p.default is inspect.Parameter.empty else p.default for p in parameters}


def given(graph, name, defaults):
    """What a call gave for an argument: its input, or the constant."""
    node = next((node for node in graph.inputs if node.target == name), None)
    return graph.constants.get(name, defaults.get(name)) if node is None else node


def kind_of(value):
    """What may tell one way from another."""
    if isinstance(value, Node):
        return "tensor" if isinstance(value.type, Record) or value.type.startswith("Tensor") else value.type
    return (type(value).__name__, value) if isinstance(value, CONSTANTS) else "other"


def is_alike(one, other):
    return one.structure() == other.structure() and one.numbers() == other.numbers()


def alike(graphs):
    """The graphs in groups that are alike."""
    groups = []
    for graph in graphs:
        group = next((group for group in groups if is_alike(graph, group[0])), None)
        if group is None:
            groups.append([graph])
        else:
            group.append(graph)
    return groups


def forward_in_ways(m, path, evaluated, trained):
    """The forward of a module of all its calls, in eval mode and in training."""
    modes = [evaluated, trained]
    for first, *rest in alike(graph for graphs in modes for graph in graphs):
        for graph in rest:
            join_dims(first.nodes, graph.nodes)
        for graph in rest:
            join_dims(graph.nodes, first.nodes)
    if all(is_alike(graph, graphs[0]) for graphs in modes for graph in graphs):
        return forward_of(m, path, *(graphs[0] if graphs else None for graphs in modes))
    defaults = defaults_of(m)
    used = {name for graphs in modes for graph in graphs
            for name in (*graph.constants, *(node.target for node in graph.inputs))}
    # In the order of the signature, where *rest is rest0, rest1, and so on.
    order = list(defaults)
    names = sorted(used, key=lambda name: order.index(name) if name in order else
                   order.index(name.rstrip("0123456789")) if name.rstrip("0123456789") in order else len(order))
    ways = {}
    for i, graphs in enumerate(modes):
        for graph in graphs:
            key = tuple(kind_of(given(graph, name, defaults)) for name in names)
            ways.setdefault(key, ([], []))[i].append(graph)
    differing = [i for i in range(len(names)) if len({key[i] for key in ways}) > 1]
    for several in ways.values():
        if any(not is_alike(graph, graphs[0]) for graphs in several for graph in graphs) or not differing:
            raise Refused(type(m), path, "it is called in two ways, which differ in what its forward does")
    inputs, tests = [], []
    for i, name in enumerate(names):
        all_given = [given(graph, name, defaults) for graphs in modes for graph in graphs]
        nodes = [value for value in all_given if isinstance(value, Node)]
        if nodes:
            inputs.append(Node("input", name, type=nodes[0].type))
            inputs[-1].dims = nodes[0].dims
        elif i in differing:
            inputs.append(Node("input", name, type="bool" if isinstance(all_given[0], bool) else "int64_t"))
        else:
            continue
        inputs[-1].name = name
        if i in differing:
            inputs[-1].default = "{}" if nodes else literal(defaults[name]) if isinstance(defaults[name], int) else None
            tests.append((i, test_of(m, path, name, [key[i] for key in ways], inputs[-1])))
    return conditional(m, path, ways, inputs, tests)


def test_of(m, path, name, kinds, node):
    """What C++ asks of an argument: a function of its kind."""
    name = identifier(name)
    if set(kinds) == {"tensor", ("NoneType", None)}:
        kind = node.type
        if kind == "Tensors":
            return lambda one: f"{'!' * (one == 'tensor')}{name}.empty()"
        members = [name]
        if kind != "Tensor":
            members = [f"{name}.{identifier(str(key))}" for key, inner in kind.members.items() if inner == "Tensor"
                       and kind.source not in (tuple, list)]
        if members:
            return lambda one: f"{'!' * (one != 'tensor')}{members[0]}.defined()"
    elif all(kind[0] == "bool" for kind in kinds):
        return lambda one: name if one[1] else f"!{name}"
    elif all(kind[0] == "int" for kind in kinds):
        return lambda one: f"{name} == {one[1]}"
    raise Refused(type(m), path, f"it is called in two ways, which differ in the argument {name}")


def conditional(m, path, ways, inputs, tests):
    """One forward that decides by its arguments, of which the last way needs no decision if there is no other left."""
    graphs = []
    order = sorted(ways, key=lambda key: -sum(kind not in (("NoneType", None), ("bool", False)) for kind in key))
    complete = len(ways) == 2 ** len(tests) and not any(" == " in test(order[0][i]) for i, test in tests)
    for key in order:
        condition = None if complete and key == order[-1] else " && ".join(test(key[i]) for i, test in tests)
        evaluated, trained = (with_inputs(several[0], inputs) if several else None for several in ways[key])
        for training, graph in forward_of(m, path, evaluated, trained).graphs:
            graphs.append((" && ".join(filter(None, (condition, training))) or None, graph))
    forward = Forward(graphs)
    forward.decided = inputs
    return forward


def with_inputs(graph, inputs):
    """The graph with the inputs of all ways."""
    graph = graph.rebuilt(iter(graph.numbers()))
    own = {node.target: node for node in graph.inputs}
    added = {}
    for node in inputs:
        if node.target not in own:
            added[node.target] = Node("input", node.target, type=node.type)
            added[node.target].name = node.name
        else:
            added[node.target] = own[node.target]
        added[node.target].default = node.default
    graph.inputs = list(added.values())
    graph.nodes = graph.inputs + [node for node in graph.nodes if node not in graph.inputs]
    return graph


def give_decided(graph, m, forwards):
    """Gives children that are called in several ways the arguments by which they decide."""
    for node in graph.nodes:
        child = m.get_submodule(node.target) if node.kind == "call" else None
        decided = getattr(forwards.get(id(child)), "decided", None)
        if decided is not None:
            defaults = defaults_of(child)
            taken = dict(zip(node.names, node.args))
            node.args = [taken.get(one.target, node.constants.get(one.target, defaults.get(one.target)))
                         for one in decided]
            node.names = [one.target for one in decided]
