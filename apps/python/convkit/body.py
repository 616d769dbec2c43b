"""C++ of a forward: statements in Python's order, in variables that have Python's names."""

import itertools

from .effects import ASSIGNING, is_inplace, is_pure, overwrites
from .folding import folded, singular
from .graph import Node, nodes_in
from .layers import Leaf
from .operators import OPERATORS, Written, inside, literal
from .specs import Ported
from .refused import Refused
from .results import Record
from .structs import TAKEN, identifier

NUMBERS = {"size", "numel", "real", "+", "-", "*", "/", "%"}
INVENTED = {"list": "maps", "chunk": "parts", "split": "parts", "unbind": "parts", "cat": "joined", "size": "size",
            "mean": "mean"}
TYPES = {"Tensor": "torch::Tensor", "Tensors": "std::vector<torch::Tensor>", "Tuple": "auto"}


def called(path):
    """What a child is called; one of a list as the list, without the plural."""
    *names, name = path.split(".")
    if not name.isdigit() or not names:
        return name
    names = [name for name in names if not name.isdigit()] or [f"child{name}"]
    return singular(names[-1])


class Body:
    def __init__(self, graph, struct, page, names):
        self.graph, self.struct, self.page = graph, struct, page
        self.inputs = names  # what C++ calls the inputs
        self.nodes = self._alive(graph)
        self.place = {id(node): i for i, node in enumerate(self.nodes)}
        self.users = {id(node): [] for node in self.nodes}
        for node in self.nodes:
            for used in nodes_in(node.args):
                self.users[id(used)].append(node)
        self.end = Node("return", "", [graph.output])
        self.place[id(self.end)] = len(self.nodes)
        for used in nodes_in(graph.output):
            self.users[id(used)].append(self.end)
        for node in self.nodes:
            if node.instead is not None:
                self.users[id(node.instead)].append(node)
        for node in self.nodes:
            # What it overwrites and gives is one variable, as in Python's x = F.relu(f(x), inplace=True).
            if is_inplace(node) and node.args[0].name is None and node.args[0].kind in ("call", "op"):
                node.args[0].name = node.name
        self.inlined = set()
        self._inline()
        self.variables = {}   # of each node by its id
        self.holds = {}       # the node that a variable holds
        self.types = {}       # of the variables declared so far
        self.lines, self.declared, self.changed = [], {}, set()

    @staticmethod
    def _alive(graph):
        used = {id(node) for node in nodes_in(graph.output)}
        alive = []
        for node in reversed(graph.nodes):
            if node.kind == "input" or id(node) in used or not is_pure(node):
                used |= {id(inner) for inner in nodes_in(node.args)}
                alive.append(node)
        return alive[::-1]

    def _is_free(self, node):
        """Whether it may be written wherever it is used: weights, sizes, and what is computed of them."""
        if node.kind == "weight":
            return True
        if self._leaves_training(node) or node.kind == "item" and self._is_taken_apart(node.args[0]):
            return False
        if node.kind == "item" and node.type in ("Tensor", "int64_t") and not self._is_root_item(node):
            return True
        return node.kind == "op" and node.target in NUMBERS and node.type in ("int64_t", "double") and (
            len(self.users[id(node)]) < 2 or node.name is None)

    def _leaves_training(self, node):
        """Whether only training computes it, and it is used where both modes come."""
        return node.training and any(not user.training for user in self.users[id(node)])

    def _is_taken_apart(self, node):
        """Whether it is a tuple whose members all go into variables at once, as in t, size = f(x)."""
        items = self.users[id(node)]
        return (node.kind == "call" and node.name is None and isinstance(node.type, Record)
                and node.type.source is tuple and len({item.name for item in items} - {None}) == len(items)
                and all(item.kind == "item" and item.training == node.training for item in items)
                and len(items) == len(node.type.members))

    def _is_root_item(self, node):
        return node.name is not None and len(self.users[id(node)]) > 1

    def _must_be_root(self, node):
        users = self.users[id(node)]
        changed = any((overwrites(user) or user.target == "__setitem__") and user.args[0] is node for user in users)
        several = node.type in ("Tensors", "Tuple", "void") or isinstance(node.type, Record) and any(
            user.kind == "item" for user in users)
        several = several or any(user.instead is node for user in users) or self._leaves_training(node)
        return (node.name is not None or len(users) != 1 or several or changed
                or node.kind in ("check", "input") or overwrites(node))

    def _inline(self):
        """Finds what stands inside of another expression in Python as well: right before it, used once."""
        for node in self.nodes:
            if self._is_free(node):
                self.inlined.add(id(node))
        for root in [self.end, *reversed(self.nodes)]:
            if id(root) not in self.inlined:
                self.next = self.place[id(root)] - 1
                self._gather(root)

    def _gather(self, consumer):
        operands = list(reversed(nodes_in(consumer.args)))
        acting = 0
        for node in operands:
            while self.next >= 0 and self._is_free(self.nodes[self.next]):
                self.next -= 1
            if self.next < 0 or self.nodes[self.next] is not node or self._must_be_root(node):
                continue
            if node.training != consumer.training:
                continue
            # C++ may compute the operands of an operator in any order, and gradients are added in that order.
            if acting and not self._is_list(consumer):
                return
            self.inlined.add(id(node))
            self.next -= 1
            acting += 1
            self._gather(node)

    def _is_list(self, consumer):
        return consumer.kind == "return" or consumer.kind == "op" and consumer.target in ("cat", "stack")

    def _last_use(self, node):
        last = self.place[id(node)]
        for user in self.users[id(node)]:
            last = max(last, self._last_use(user) if id(user) in self.inlined else self.place[id(user)])
        return last

    # What C++ calls things.

    def write(self, value):
        if isinstance(value, Node):
            if value.kind == "weight":
                return Written(self.page.weight_path(self.struct, value.target))
            if id(value) in self.variables and id(value) not in self.inlined:
                return Written(self.variables[id(value)])
            return self.expression(value)
        if isinstance(value, list):
            return Written(f"{{{', '.join(map(self.write, value))}}}")
        return literal(value)

    def expression(self, node):
        if is_inplace(node):
            self.changed.add(self.variables.get(id(node.args[0])))
        if node.kind == "list":
            return self.write(list(node.args))
        if node.kind == "push":
            self.changed.add(self.variables[id(node.args[0])])
            return Written(f"{self.write(node.args[0])}.push_back({self.write(node.args[1])})")
        if node.kind == "item":
            return self.member(inside(self.write(node.args[0]), 3), node.args[0].type, node.target)
        if node.kind == "call":
            return self.call(node)
        try:
            if node.target == "prelu" or node.target in OPERATORS:
                return OPERATORS[node.target].write(self.write, *node.args)
        except (ValueError, AttributeError) as error:
            self.refuse(node, f"torch's {node.target} with arguments that have no form in C++ here yet: {error}")
        raise KeyError(node.target)

    def refuse(self, node, what):
        where = f"{node.line[0]}, line {node.line[1]}" if node.line else None
        raise Refused(self.struct.kind, "", what, where)

    def call(self, node):
        spec = self.page.spec_at(self.struct, node.target)
        takes = spec.struct.inputs if isinstance(spec, Ported) else []
        if isinstance(spec, Leaf) and spec.parameters:
            given = list(map(self.named, node.args, spec.parameters))
        else:
            given = [self.argument(value, takes[i].type if takes else "") for i, value in enumerate(node.args)]
        while takes and len(given) > 1 and takes[len(given) - 1].default is not None and (
                node.args[len(given) - 1] is None or given[-1] == takes[len(given) - 1].default):
            given.pop()
        args = ", ".join(given)
        if isinstance(spec, Leaf) and not spec.inputs_kept and node.args[0].kind == "input":
            self.refuse(node, f"an in-place {spec.type} of an argument of forward: torch::nn's has no such form")
        text = self.page.called(self.struct, node, spec, args)
        if node.target in self.struct.optional and node.maps_one():
            child = identifier(node.target)
            return Written(f"{child} ? {text} : {args}", 0)
        given = spec.struct.result if isinstance(spec, Ported) else node.type
        if given != node.type and node.type == "Tensor":  # which in the other mode is the first of several
            first = next(iter(self.page.records.of(given)), None) if isinstance(given, Record) else 0
            text = self.member(text, given, first)
        return Written(text)

    @staticmethod
    def member(source, kind, key):
        if isinstance(kind, Record) and kind.source not in (tuple, list):
            return Written(f"{source}.{identifier(str(key))}")
        key = list(kind.members).index(key) if isinstance(kind, Record) else key
        is_tuple = kind == "Tuple" or isinstance(kind, Record) and kind.source is tuple
        return Written(f"std::get<{key}>({source})" if is_tuple else f"{source}[{key}]")

    def argument(self, value, kind):
        """What a child is given."""
        if isinstance(value, (list, dict)):
            kind = "Tensors" if kind == "" else kind
            return f"{self.page.records.type(kind)}{self.result(value, kind)}"
        if value is None and kind:
            return f"{self.page.records.type(kind)}()"
        return self.write(value)

    def result(self, value, kind):
        """A value as the type has it: all members of a struct, where those that this mode does not give are undefined."""
        if value is None:
            return "{}"
        given = getattr(value, "type", None)
        if isinstance(value, Node) and (given == kind or isinstance(given, Record) and isinstance(kind, Record)):
            return self.write(value)
        if not isinstance(kind, Record):
            members = value if isinstance(value, list) else [value]
            inside = f"{{{', '.join(self.result(inner, 'Tensor') for inner in members)}}}"
            return inside if kind == "Tensors" else self.write(value)
        if isinstance(value, Node):  # one tensor, which is the first of several
            value = {next(iter(self.page.records.of(kind))): value}
        if isinstance(value, list):
            value = dict(enumerate(value))
        return f"{{{', '.join(self.result(value.get(key), type) for key, type in self.page.records.of(kind).items())}}}"

    def named(self, value, name):
        """An argument of a module that takes several."""
        if value is None:
            return "torch::Tensor()"
        if isinstance(value, list):
            return f"std::make_tuple({', '.join(map(self.write, value))})"
        return f"/*{name}=*/{self.write(value)}" if isinstance(value, bool) else self.write(value)

    # Statements.

    def variable(self, node):
        """A name for a value: Python's, unless another value that is still needed has it."""
        if node.instead is not None:
            return self.variables[id(node.instead)]
        wanted = node.name
        if wanted is None:
            wanted = f"{called(node.target)}_out" if node.kind == "call" else INVENTED.get(node.target, "value")
        wanted = identifier(wanted)
        if wanted in self.inputs:
            wanted = next(name for name in ("y", "z", f"{wanted}_out", f"{wanted}_new") if name not in self.inputs
                          and name not in {other.name for other in self.nodes})
        elif wanted in self.struct.taken:
            wanted += "_"
        now, name, count = self.place[id(node)], wanted, 2
        while True:
            held = self.holds.get(name)
            free = held is None or self._last_use(held) <= now
            if free and self.types.get(name, node.type) == node.type and name not in TAKEN | {*self.inputs}:
                return name
            name, count = f"{wanted}{count}", count + 1

    def assign(self, node):
        if overwrites(node):
            base = node.args[0]
            if node.target not in ASSIGNING and base.kind in ("input", "item", "weight"):
                # LibTorch's functions take no temporary, and nothing const.
                name = self.variable(node)
                self.lines.append(f"torch::Tensor {name} = {self.write(base)};")
                self.types[name], self.variables[id(base)] = "Tensor", name
                self.inlined.discard(id(base))
            text = self.expression(node)
            if node.target in ASSIGNING and base.kind in ("input", "item"):
                text = f"{self.write(base)}.{self.method_of(node)}({', '.join(self.write(a) for a in node.args[1:2])})"
            else:
                self.changed.add(self.variables.get(id(base)))
            self.lines.append(f"{text};")
            self.variables[id(node)] = self.write(base)
            self.holds[self.variables[id(node)]] = node
            return
        text = self.expression(node)
        if not self.users[id(node)] or node.type == "void":
            if node.target == "__setitem__":  # LibTorch's is not const
                self.changed.add(self.variables.get(id(node.args[0])))
            self.lines.append(f"{text};")
            self.variables[id(node)] = text
            return
        if self._is_taken_apart(node):
            self.take_apart(node, text)
            return
        name = self.variable(node)
        self.variables[id(node)], self.holds[name] = name, node
        if name in self.types:
            self.changed.add(name)
            in_place = str(node.target).endswith("_") and text.startswith(f"{name}.{node.target}(")
            self.lines.append(f"{text};" if in_place else f"{name} = {text};")
            return
        self.types[name] = node.type
        self.declared[name] = len(self.lines)
        kind = "auto" if isinstance(node.type, Record) else TYPES.get(node.type, node.type)
        self.lines.append(f"{kind} {name}{text};" if node.kind == "list" else f"{kind} {name} = {text};")

    def take_apart(self, node, text):
        names = []
        for item in sorted(self.users[id(node)], key=lambda item: item.target):
            held = item.type
            item.type = "one of several"  # it takes no variable that is there already
            name = self.variable(item)
            item.type = held
            self.variables[id(item)], self.holds[name], self.types[name] = name, item, held
            names.append(name)
        self.declared[tuple(names)] = len(self.lines)
        self.lines.append(f"auto [{', '.join(names)}] = {text};")

    def check(self, node, rest):
        """C++ of a decision, and how many of the `rest` it stands for as well: shapes are compared at once."""
        def sizes(node, dim):
            both = node.kind == "check" and node.target == "==" and all(
                isinstance(arg, Node) and arg.target == "size" and arg.args[1] == dim for arg in node.args)
            return [arg.args[0] for arg in node.args] if both else None
        pair, begin = sizes(node, 0), f'"{self.struct.name}: expected'
        if pair is not None and pair[0].dims is not None and pair[0].dims == pair[1].dims:
            more = pair[0].dims - 1
            if len(rest) >= more and all(sizes(other, dim + 1) == pair for dim, other in enumerate(rest[:more])):
                a, b = map(self.write, pair)
                return (f'TORCH_CHECK({a}.sizes() == {b}.sizes(), {begin} {a} and {b} of one shape, got ", {a}.sizes(), '
                        f'" and ", {b}.sizes());'), more
        a, b = map(self.write, node.args)
        got = ', " and ", '.join(text for text, arg in zip((a, b), node.args) if isinstance(arg, Node))
        return f'TORCH_CHECK({a} {node.target} {b}, {begin} {a} {node.target} {b}, got ", {got});', 0

    @staticmethod
    def method_of(node):
        names = {"__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_"}
        return names.get(node.target, node.target)

    def write_all(self, nodes, checked):
        nodes = list(nodes)
        while nodes:
            node = nodes.pop(0)
            if node.kind != "check":
                self.assign(node)
                continue
            line, more = self.check(node, nodes)
            del nodes[:more]
            if line not in checked:
                self.lines.append(line)
                checked.add(line)

    def training_block(self, nodes, checked):
        """What only training does. Variables that it gives to the rest are declared before it."""
        for node in nodes:
            if self._leaves_training(node) and node.instead is None:
                name = self.variable(node)
                if name not in self.types:
                    self.lines.append(f"{TYPES[node.type]} {name};")
                    self.types[name] = node.type
        outside, known, declared = self.lines, dict(self.types), self.declared
        self.lines, self.declared = [], {}
        self.write_all(nodes, set(checked))
        self.make_const(self.declared)
        inside, self.lines, self.declared = self.lines, outside, declared
        for name in set(self.types) - set(known):
            self.holds.pop(name, None)
        self.types = known
        self.lines += [f"if (is_training()) {inside[0]}"] if len(inside) == 1 else \
            ["if (is_training()) {", *inside, "}"]

    def make_const(self, declared):
        for name, at in declared.items():
            if not self.changed & {*([name] if isinstance(name, str) else name)}:
                self.lines[at] = f"const {self.lines[at]}"

    def statements(self, kind):
        """Those that give a result of this type."""
        for node, name in zip(self.graph.inputs, self.inputs):
            self.variables[id(node)] = name
            self.holds[name] = node
        checked = set()
        nodes = [node for node in self.nodes if node.kind != "input" and id(node) not in self.inlined
                 and not (node.kind == "item" and self._is_taken_apart(node.args[0]))]
        for in_training, some in itertools.groupby(nodes, lambda node: node.training):
            if in_training:
                self.training_block(list(some), checked)
            else:
                self.write_all(some, checked)
        self.lines.append(f"return {self.result(self.graph.output, kind)};")
        self.make_const(self.declared)
        return folded(self.lines, self.page.list_sizes(self.struct))

