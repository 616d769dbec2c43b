"""A page of C++: the structs of a module, from the innermost to the whole."""

import inspect
import itertools
import os
import re
import textwrap

from torch import nn

from .body import Body
from .calls import leaves
from .clusters import clusters, levels
from .folding import guarded, with_common_begin
from .layers import Leaf
from .refused import Refused
from .results import Records, joined
from .specs import Ported, Sequence
from .structs import Forward, Indistinct, Struct, identifier
from .ways import forward_in_ways, give_decided
from .whole import Whole


# In a struct these are its own bases.
INHERITED = {"Block", "Cloneable", "Module", "ModuleHolder", "StateKeys", "TensorModule"}


class Page:
    def __init__(self, root, shapes, evaluated, trained, constructed, specs):
        self.root, self.specs, self.constructed, self.shapes = root, specs, constructed, shapes
        self.paths = specs.paths
        self.evaluated, self.trained = evaluated, trained
        self.structs, self.forwards, names = [], {}, {}
        for modules in levels(root, specs):
            kinds = {}
            for m in modules:
                self.forwards[id(m)] = self._forward(m)
                kinds.setdefault(type(m), []).append(m)
            for kind, members in kinds.items():
                for cluster in clusters(members, specs, self.forwards):
                    self._add(kind, cluster, names)
        self.records = Records(self)
        self.whole = Whole(self)
        self.bodies = {struct.name: self._bodies(struct) for struct in self.structs}

    def _forward(self, m):
        path = self.paths[id(m)]
        modes = [graphs.get(id(m), []) for graphs in (self.evaluated, self.trained)]
        for graph in (graph for graphs in modes for graph in graphs):
            give_decided(graph, m, self.forwards)
        # What is never called holds weights and children that others use, and needs no forward.
        return Forward([]) if modes == [[], []] else forward_in_ways(m, path, *modes)

    def _add(self, kind, members, names):
        def struct(modules):
            base = re.sub(r"^_+", "", kind.__name__)
            if base in INHERITED:
                base = kind.__module__.partition(".")[0].title().replace("_", "") + base
            names[base] = names.get(base, 0) + 1
            name = base if names[base] == 1 else f"{base}{'_' * base[-1].isdigit()}{names[base]}"
            try:
                made = Struct(name, kind, modules, self.specs, self.forwards, self.constructed)
            except Indistinct:
                names[base] -= 1
                raise
            self.structs.append(made)
            for m in modules:
                self.specs.structs[id(m)] = made
            results = [graph.result for _, graph in made.bodies]
            made.result = joined(kind, results, self.specs) if results else None
        try:
            struct(members)
        except Indistinct:
            groups = {}
            for m in members:
                groups.setdefault(self.forwards[id(m)].structure(), []).append(m)
            for group in groups.values():
                struct(group)

    # What a forward names.

    def _module_at(self, struct, path):
        for m in struct.modules:
            try:
                return m.get_submodule(path)
            except AttributeError:
                pass
        raise KeyError(path)

    def spec_at(self, struct, path):
        return self.specs.of(self._module_at(struct, path))

    def _access(self, struct, path):
        """C++ of a child, and whether it is a plain pointer to a module."""
        owner, text, generic = struct.modules[0], "", False
        parts = path.split(".")
        m = next(m for m in struct.modules if self._has(m, path))
        for i, part in enumerate(parts):
            owner, m = m, m._modules[part]
            if i == 0:
                text, generic = identifier(part), self.member_type(struct, part).startswith("std::")
                continue
            spec = self.specs.of(owner)
            if isinstance(spec, Leaf):
                raise Refused(struct.kind, "", f"the use of '{path}', deep inside of another module")
            if generic:
                text = f"{text}->as<{spec.struct.name if isinstance(spec, Ported) else spec.type}>()"
            generic = self.specs.is_list(owner)
            at = f'"{part}"' if type(owner) is nn.ModuleDict else list(owner._modules).index(part)
            text = f"(*{text})[{at}]" if generic else f"{text}->{identifier(part)}"
        return text, generic

    @staticmethod
    def member_type(struct, key):
        kinds = {spec.type for spec in struct.children[key].values()}
        return kinds.pop() if len(kinds) == 1 else "std::shared_ptr<nn::Module>"

    @staticmethod
    def _has(m, path):
        try:
            m.get_submodule(path)
            return True
        except AttributeError:
            return False

    def weight_path(self, struct, path):
        owner, _, name = path.rpartition(".")
        if not owner:
            return identifier(name)
        text, generic = self._access(struct, owner)
        if generic:
            spec = self.spec_at(struct, owner)
            text = f"{text}->as<{spec.struct.name if isinstance(spec, Ported) else spec.type}>()"
        return f"{text}->{identifier(name)}"

    def called(self, struct, node, spec, args):
        text, generic = self._access(struct, node.target)
        if isinstance(spec, Leaf) and spec.parameters and generic:
            return f"{text}->as<{spec.type}>()->forward({args})"
        if isinstance(spec, Ported) and generic:
            return f"{text}->as<{spec.struct.name}>()->forward({args})" if not spec.struct.is_block else \
                f"convkit::forward_child(*{text}, {args})"
        # torch::nn's own adds the bias in a second step for more than two dimensions, and rounds twice.
        if generic or isinstance(spec, Leaf) and spec.type == "nn::Linear" and node.args[0].dims != 2:
            return f"convkit::forward_child(*{text}, {args})"
        return f"{text}({args})"

    def list_sizes(self, struct):
        """Of the lists of modules in a struct, with what a loop over all of them is over."""
        lists = {identifier(key): next(iter(specs.values())) for key, specs in struct.children.items()
                 if len(struct.kinds[key]) == 1}
        return {name: (len(spec.parts), f"*{name}" if spec.type == "nn::ModuleList" else f"{name}->children()")
                for name, spec in lists.items() if isinstance(spec, Sequence)}

    def _bodies(self, struct):
        if not struct.bodies:
            return [], []
        inputs = struct.inputs
        names = [identifier(node.target) for node in inputs]
        names = [f"{name}_" if name in struct.taken else name for name in names]
        for _, graph in struct.bodies:
            if [(n.target, self.records.type(n.type)) for n in graph.inputs] != [
                    (n.target, self.records.type(n.type)) for n in inputs]:
                raise Refused(struct.kind, "", "instances that take different arguments")
        # A name that is a member's too is another one in the conditions as well.
        renamed = [(rf"\b{identifier(node.target)}\b", name) for node, name in zip(inputs, names)
                   if identifier(node.target) != name]
        for i, (condition, graph) in enumerate(struct.bodies):
            for old, new in renamed:
                condition = condition and re.sub(old, new, condition)
            struct.bodies[i] = condition, graph
        bodies = [(condition, Body(graph, struct, self, names).statements(struct.result)) for condition, graph in struct.bodies]
        text = "\n".join(line for condition, statements in bodies for line in [condition or "", *statements])
        # C++ warns of an argument that has a name and no use.
        return [name if re.search(rf"(?<![\w.>]){name}\b(?!\()", text) else f"/*{name}*/" for name in names], bodies

    # Text.

    def struct_text(self, struct):
        names, bodies = self.bodies[struct.name]
        impl = f"{struct.name}Impl"
        base = "Block" if struct.is_block else "Cloneable"
        lines = [*self.records.definitions(struct), *self.comment(struct), f"struct {impl} : convkit::{base}<{impl}> {{"]
        if struct.parameters:
            given = ", ".join(f"{p.type} {p.name}" + (f" = {self.default(p)}" if p.default is not None else "")
                              for p in struct.parameters)
            members = ", ".join(f"{p.name}({p.name})" for p in struct.parameters)
            explicit = "explicit " if sum(p.default is None for p in struct.parameters) < 2 else ""
            lines += [f"{explicit}{impl}({given}) : {members} {{ {impl}::reset(); }}"]
        else:
            lines += [f"{impl}() {{ {impl}::reset(); }}"]
        lines += ["", "void reset() override {"]
        for weight, values in zip(struct.weights[id(struct.modules[0])], struct.weight_values):
            lines.append(f"{identifier(weight.name)} = {weight.write(values)};")
        members = []
        for key, specs in struct.children.items():
            lines += self.registered(struct, key)
            kind = self.member_type(struct, key)
            members.append(f"{kind} {identifier(key)}{'' if kind.startswith('std::') else '{nullptr}'};")
        lines += [*self.whole.reset(struct), "}", ""]
        for weight, values in zip(struct.weights[id(struct.modules[0])], struct.weight_values):
            if weight.program is not None:
                graph = weight.program.rebuilt(iter(values))
                lines += [f"torch::Tensor make_{weight.name}() const {{", *Body(graph, struct, self, []).statements("Tensor"),
                          "}", ""]
        if bodies:
            override = " override" if struct.is_block else ""
            lines.append(f"{self.records.type(struct.result)} forward({self.arguments(struct, names)}){override} {{")
            shared, rest = with_common_begin([statements for _, statements in bodies])
            if len(bodies) == 1:
                shared, rest = [], [bodies[0][1]]
            lines += shared
            for i, ((condition, _), statements) in enumerate(zip(bodies, rest)):
                if i + 1 == len(bodies):
                    if condition is not None:
                        lines.append(f"TORCH_CHECK({condition}, \"{struct.name}: expected arguments as in one of Python's "
                                     'calls");')
                    lines += statements
                elif len(statements) == 1:
                    lines.append(f"if ({condition}) {statements[0]}")
                else:
                    lines += [f"if ({condition}) {{", *statements, "}"]
            lines += ["}", ""]
        lines += self.whole.members(struct)
        lines += [f"{p.type} {p.name};" for p in struct.parameters]
        lines += members
        lines += [f"torch::Tensor {identifier(w.name)};" for w in struct.weights[id(struct.modules[0])]]
        holder = "CONVKIT_MODULE" if bodies else "TORCH_MODULE"  # which needs no forward
        return "\n".join([*lines, "};", f"{holder}({struct.name});", ""])

    @staticmethod
    def default(parameter):
        return str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)

    def registered(self, struct, key):
        """What registers a child, of each of its kinds."""
        name = identifier(key)
        if key in struct.aliases:
            return [f'{name} = register_module("{key}", {identifier(struct.aliases[key])});']

        def made(specs, values):
            spec = next(iter(specs.values()))
            if isinstance(spec, Sequence):
                return spec.statements(name, key, values)
            return [f'{name} = register_module("{key}", {spec.write(values)});']
        kinds = [made(specs, values) for (_, specs), values in zip(struct.kinds[key], struct.made[key])]
        condition = struct.optional.get(key) or struct.kinds[key][0][0]
        if condition is None:
            return kinds[0]
        if len(kinds) == 2:
            return [f"if ({condition}) {{", *kinds[0], "} else {", *kinds[1], "}"]
        return guarded(f"if ({condition})", kinds[0])

    def arguments(self, struct, names):
        def argument(node, name):
            kind = self.records.type(node.type)
            default = f" = {node.default}" if node in left_out else ""
            return (f"{kind} {name}" if kind in ("int64_t", "bool") else f"const {kind}& {name}") + default
        left_out = list(itertools.takewhile(lambda node: node.default is not None, reversed(struct.inputs)))
        return ", ".join(map(argument, struct.inputs, names))

    def comment(self, struct):
        m = struct.modules[0]
        given, result = self.shapes.get(id(m), ((), ()))
        lines = [f"{struct.kind.__module__}.{struct.kind.__qualname__}.", *said(struct.kind), ""]
        shapes = [", ".join(f"{name if several else ''} {list(tensor.shape)}".strip() for name, tensor in named)
                  for named, several in ((given, len(given) > 1), (leaves(result), not isinstance(result, (list, tuple))
                                                                   or hasattr(result, "_fields")))]
        if all(shapes):
            text = re.sub(r"(?<=\d), (?=\d)", ",\0", f"Shape:   {' -> '.join(shapes)}, for example")  # whole shapes
            lines += [line.replace("\0", " ") for line in textwrap.wrap(text, 94, subsequent_indent=" " * 9)]
        if not struct.bodies:
            lines[-1:-1] = ["Nothing calls its forward: others use what it holds."]
        keys = [w.name for w in struct.weights[id(m)] if w.persistent]
        for key, specs in struct.children.items():
            inner = max((list(m._modules[key].state_dict()) for m in struct.modules if m._modules.get(key) is not None),
                        key=len)
            if inner:
                alone = len(inner) == 1 and "." not in inner[0]
                keys.append(f"{key}.{inner[0]}" if alone else f"{key}.*")
        if keys:
            lines += wrapped("Keys:    ", keys)
        absent = [f"[{i}]" for _, graph in struct.bodies if type(graph.output) is list
                  for i, node in enumerate(graph.output) if getattr(node, "training", False)]
        if absent:
            lines.append(f"Differs: in eval mode {', '.join(absent)} is undefined, where Python gives less.")
        try:
            file = inspect.getsourcefile(struct.kind)
            lines.append(f"Source:  {os.path.basename(file)}, line {inspect.getsourcelines(struct.kind)[1]}")
        except (OSError, TypeError):
            pass
        return [f"/// {line}".rstrip() for line in lines]

    def includes(self, text):
        headers = {"convkit/module.h"}
        for m in self.root.modules():
            leaf = self.specs.known.get(id(m))
            if leaf is not None:
                headers |= leaf.headers
        for name in ("ModuleList", "ModuleDict"):
            if f"nn::{name}" in text:
                headers.add(f"torch/nn/modules/container/{name.lower()}.h")
        for word, header in (("nn::functional::interpolate", "torch/nn/functional/upsampling.h"),
                             ("nn::functional::normalize", "torch/nn/functional/normalization.h")):
            if word in text:
                headers.add(header)
        headers |= {"torch/types.h"}
        system = {"vector"} if "std::vector" in text else set()
        system |= {"cstddef"} if "std::size_t" in text else set()
        system |= {"cstdint"} if "int64_t" in text else set()
        system |= {"memory"} if "std::shared_ptr" in text else set()
        system |= {"optional"} if "std::optional" in text else set()
        system |= {"memory", "string", "utility"} if "std::pair" in text else set()
        system |= {"tuple"} if "std::tuple" in text or "std::get<" in text else set()
        system |= {"limits"} if "numeric_limits" in text else set()
        groups = [sorted(h for h in headers if h.startswith("convkit/")),
                  sorted(h for h in headers if h.startswith("torch/")), sorted(system)]
        return "\n\n".join("\n".join(f"#include <{h}>" for h in group) for group in groups if group)

    def text(self, name, title):
        structs = "\n".join(self.struct_text(struct) for struct in self.structs)
        using = "".join(f"using torch::indexing::{word};\n" for word in ("Ellipsis", "None", "Slice")
                        if re.search(rf"\b{word}\b", re.sub(r"//.*", "", structs)))
        return (f"{title}#pragma once\n\n{self.includes(structs)}\n\nnamespace {name} {{\n\n"
                f"namespace nn = torch::nn;\n{using}\n{structs}\n}}  // namespace {name}\n")


def said(kind):
    """The first sentence of a class's own documentation, if it is plain text of one line."""
    text = (kind.__dict__.get("__doc__") or "").strip().partition("\n")[0].strip()
    return [text if text.endswith(".") else f"{text}."] if text and text.isascii() and len(text) < 90 else []


def wrapped(begin, words):
    lines, line = [], begin
    for word in words:
        if len(line) + len(word) > 94:
            lines.append(line.rstrip())
            line = " " * len(begin)
        line += f"{word} "
    return [*lines, line.rstrip()]
