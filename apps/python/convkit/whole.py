"""What a page says of the weights of all modules in it at once: their type, which are frozen, and which are tied."""

import torch
from torch import nn

from .faithful import shared
from .folding import folded
from .operators import literal
from .refused import Refused
from .specs import Ported


def of_torch(m, specs):
    """Whether C++'s constructor makes the module's own weights, and not what the page writes."""
    return id(m) not in specs.structs


class Whole:
    def __init__(self, page):
        self.page, self.root, self.specs = page, page.root, page.specs
        self.struct = self.specs.structs[id(self.root)]
        self.statements = [*self._type(), *self._frozen(self.root, "")]
        modules, ties = folded(list(self._shared()), self.page.list_sizes(self.struct)), self._ties()
        self.ties = [*modules, *ties]
        self.tied = " and ".join([*(["modules"] if modules else []), *(["parameters"] if ties else [])])

    def _type(self):
        kinds = {p.dtype for m in self.root.modules() if of_torch(m, self.specs)
                 for p in (*m._parameters.values(), *m._buffers.values()) if p is not None and p.is_floating_point()}
        if kinds <= {torch.float32}:
            return []
        for path, m in self.root.named_modules():
            for name, weight in (*m._parameters.items(), *m._buffers.items()):
                if weight is not None and weight.is_floating_point() and (len(kinds) > 1 or weight.dtype not in kinds):
                    raise Refused(type(m), path, f"its '{name}' is {weight.dtype}, and others are of another type")
        return [f"to({literal(kinds.pop())});"]

    def _frozen(self, m, path):
        """Loops over modules all of whose parameters are frozen, the outermost ones; lines for others' parameters."""
        made = [part for part in m.modules() if of_torch(part, self.specs)]
        if all(p is None or p.requires_grad for part in made for p in part._parameters.values()):
            return
        if not any(p.requires_grad for p in m.parameters()):
            of = f"{self._module(path)}->" if path else ""
            yield f"for (const torch::Tensor& parameter : {of}parameters()) parameter.set_requires_grad(false);"
            return
        if of_torch(m, self.specs):
            for name, parameter in m._parameters.items():
                if parameter is not None and not parameter.requires_grad:
                    yield f"{self._parameter(path, name)}.set_requires_grad(false);"
        for name, child in m._modules.items():
            if child is not None:
                yield from self._frozen(child, f"{path}.{name}".lstrip("."))

    def _parameter(self, path, name):
        """C++ of a parameter of one of torch::nn's modules, where it has a name in C++."""
        if name in ("weight", "bias"):
            try:
                return self.page.weight_path(self.struct, f"{path}.{name}")
            except Refused:
                pass
        return f'{self._module(path)}->named_parameters()["{name}"]'

    def _module(self, path):
        """C++ of a pointer to any module in the whole."""
        try:
            return self.page._access(self.struct, path)[0]
        except Refused:
            return f'named_modules("", /*include_self=*/false)["{path}"]'

    def _has_members(self, m):
        """Whether the module's parameters are members of their names in C++."""
        leaf = self.specs.known.get(id(m))
        return id(m) in self.specs.structs or leaf is not None and leaf.type not in ("nn::LSTM", "nn::GRU", "nn::RNN") \
            and (leaf.type.startswith("nn::") or leaf.type == "convkit::MultiheadAttention")

    def _shared(self):
        """Statements that make one of what are one module in Python."""
        lists = {}
        for path, first in shared(self.root):
            above, _, name = path.rpartition(".")
            parent, m = self.root.get_submodule(above), self.root.get_submodule(path)
            if type(parent) is nn.ModuleList:
                lists.setdefault(above, {})[int(name)] = first
            elif id(parent) in self.specs.structs:
                yield self._replaced(path, self._pointer(first))
            else:
                raise Refused(type(m), path, f"it is also '{first}': C++'s {type(parent).__name__} cannot share it")
        for path, firsts in lists.items():
            own = self.page._access(self.struct, path)[0]
            parts = [self._pointer(firsts[i]) if i in firsts else f"{own}->ptr({i})"
                     for i in range(len(self.root.get_submodule(path)))]
            yield self._replaced(path, f"nn::ModuleList({', '.join(parts)})")

    def _replaced(self, path, pointer):
        own = self.page.weight_path(self.struct, path)
        owner = own.rpartition("->")[0]
        name = path.rpartition(".")[2]
        return f'{own} = {owner}{"->" if owner else ""}replace_module("{name}", {pointer});'

    def _pointer(self, path):
        """C++ of a holder of, or pointer to, any module that a struct or list of the page has."""
        text, is_plain = self.page._access(self.struct, path)
        spec = self.specs.of(self.root.get_submodule(path))
        kind = spec.struct.name if isinstance(spec, Ported) else spec.type
        return f"std::dynamic_pointer_cast<{kind}Impl>({text})" if is_plain else text

    def _ties(self):
        """Statements that make one of the parameters that are one in Python."""
        owners, lines = {}, []
        for path, m in self.root.named_modules():
            for name, parameter in m._parameters.items():
                if parameter is None:
                    continue
                if id(parameter) not in owners:
                    owners[id(parameter)] = (path, name)
                    continue
                for where in (path, owners[id(parameter)][0]):
                    if not self._has_members(self.root.get_submodule(where)):
                        raise Refused(type(m), path, f"its '{name}' is also '{'.'.join(owners[id(parameter)])}'")
                source, own = (self.page.weight_path(self.struct, f"{where}.{key}".lstrip("."))
                               for where, key in (owners[id(parameter)], (path, name)))
                module = own.rpartition("->")[0] or "this"
                lines.append(f'{own} = convkit::tie_parameter(*{module}, "{name}", {source});')
        return lines

    def reset(self, struct):
        """What stands at the end of the whole module's reset()."""
        if struct is not self.struct:
            return []
        return [*(["tie();"] if self.ties else []), *self.statements]

    def members(self, struct):
        """What the whole module has beside its forward."""
        if struct is not self.struct or not self.ties:
            return []
        impl = f"{struct.name}Impl"
        base = "Block" if struct.is_block else "Cloneable"
        return ["std::shared_ptr<nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const "
                "override {", f"auto copy = convkit::{base}<{impl}>::clone(device);",
                f"static_cast<{impl}&>(*copy).tie();", "return copy;", "}", "",
                f"/// Makes one of the {self.tied} that are one in Python.", "void tie() {", *self.ties, "}", ""]
