"""Which modules may share a struct, and in what order structs are made."""

from .layers import Leaf
from .specs import Ported
from .structs import aliases_of
from .weight_specs import weights_of


def height(m, specs, known, least):
    """How many of the page's structs stand inside of each other, but no less than other modules of the class have."""
    if id(m) not in known:
        known[id(m)] = 0
        leaf = specs.leaf(m) is not None
        inner = 0 if leaf else max((height(part, specs, known, least) for part in m._modules.values()
                                    if part is not None), default=0)
        known[id(m)] = inner if leaf or specs.is_list(m) else max(inner + 1, least.get(type(m), 0))
    return known[id(m)]


def levels(root, specs):
    """Lists of the modules that become structs: each after those that have what stands in it, all of a class together
    unless the class contains itself."""
    height(root, specs, known := {}, {})
    modules = [m for m in root.modules() if id(m) in known and specs.leaf(m) is None and not specs.is_list(m)]
    inside = {}
    for m in modules:
        inside.setdefault(type(m), set()).update(type(part) for part in list(m.modules())[1:])
    for _ in inside:
        inside = {kind: found.union(*(inside.get(other, ()) for other in found)) for kind, found in inside.items()}
    least, before = {}, None
    while least != before:
        before, known = dict(least), {}
        height(root, specs, known, least)
        for m in modules:
            if type(m) not in inside[type(m)]:
                least[type(m)] = max(least.get(type(m), 0), known[id(m)])
    return [[m for m in modules if known[id(m)] == level] for level in range(1, max(known.values()) + 1)]


def clusters(members, specs, forwards):
    """Modules whose children are of the same kinds where both have them, or may stand for each other."""
    found = []
    for m in members:
        children = {name: specs.of(part) for name, part in m._modules.items() if part is not None}
        own = {w.name: w.key for w in weights_of(m, specs)} | aliases_of(m)
        for cluster in found:
            if own == cluster.own and cluster.takes(m, children):
                break
        else:
            found.append(Cluster(own, forwards))
            found[-1].takes(m, children)
    return [cluster.members for cluster in found]


class Cluster:
    """Modules that may share a struct."""

    def __init__(self, own, forwards):
        self.own, self.forwards, self.members, self.kinds = own, forwards, [], {}

    def takes(self, m, specs):
        """Whether it takes a module, which is in it then."""
        missing = set(specs) ^ set(self.kinds) if self.members else set()
        if not all(name in first._modules and name in m._modules or hasattr(first, name) and hasattr(m, name)
                   for name in missing for first in self.members[:1]):
            return False
        kinds = {name: dict(known) for name, known in self.kinds.items()}
        for name, spec in specs.items():
            kinds.setdefault(name, {})[spec.key] = spec
        several = [name for name, known in kinds.items() if len(known) > 1]
        if len(several) > 2 or not all(self._exchangeable(name, kinds[name], [*self.members, m]) for name in several):
            return False
        self.kinds = kinds
        self.members.append(m)
        return True

    def _exchangeable(self, name, kinds, members):
        """Whether a child may be of two kinds: each maps one tensor to one, and nobody looks into it."""
        def maps(spec):
            return (spec.struct.is_block if isinstance(spec, Ported) else spec.inputs_kept if isinstance(spec, Leaf)
                    else spec.type == "convkit::Sequential")
        return (len(kinds) == 2 and all(map(maps, kinds.values()))
                and all(m._modules.get(name) is not None for m in members)
                and not any(node.kind in ("call", "weight") and node.target.startswith(f"{name}.")
                            for m in members for _, graph in self.forwards[id(m)].graphs for node in graph.nodes))
