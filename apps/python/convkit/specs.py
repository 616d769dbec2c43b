"""How C++ makes each module: a tree of specs, each with its numbers apart from its structure."""

from torch import nn

from . import layers, ours, parametrized
from .folding import guarded
from .refused import Refused
from .tracing import SEQUENTIAL


class Sequence:
    """An nn.Sequential, or a class of its forward, or a list of modules."""

    def __init__(self, names, parts, type="convkit::Sequential"):
        self.names, self.parts, self.type = names, parts, type
        self.values = [value for part in parts for value in part.values]
        self.key = (type, tuple((name, part.key) for name, part in zip(names, parts)))
        self.hints = [hint for part in parts for hint in part.names_of_values()]

    def names_of_values(self):
        return self.hints

    def pieces(self, values):
        """C++ of each child."""
        texts = []
        for part in self.parts:
            texts.append(part.write(values[:len(part.values)]))
            values = values[len(part.values):]
        if self.type == "nn::ModuleDict":
            return [f'{{"{name}", {text}.ptr()}}' for name, text in zip(self.names, texts)]
        if self.names == [str(i) for i in range(len(self.names))]:
            return texts
        return [f'{{"{name}", {text}}}' for name, text in zip(self.names, texts)]

    def copies(self, pieces):
        """Whether braces around these would be a copy of the one in them: they are, for some compilers."""
        return len(pieces) == 1 and pieces[0].startswith(self.type)

    def write(self, values):
        if self.type == "nn::ModuleDict" and self.parts:
            pairs = "std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>>"
            return f"{self.type}({pairs}{{{', '.join(self.pieces(values))}}})"
        pieces = self.pieces(values)
        if self.copies(pieces):
            pieces = [f'{{"0", {pieces[0]}}}']
        return f"{self.type}{{{', '.join(pieces)}}}" if self.parts else f"{self.type}()"

    def statements(self, name, key, values):
        """What registers it; of many equal children in a row a loop makes all but the first."""
        if self.type == "nn::ModuleDict":
            return [f'{name} = register_module("{key}", nn::ModuleDict());',
                    *([f"{name}->update({{{', '.join(self.pieces(values))}}});"] if self.parts else [])]
        runs = []
        for piece in self.pieces(values):
            if runs and runs[-1][0] == piece:
                runs[-1][1] += 1
            else:
                runs.append([piece, 1])
        alone = self.copies([piece for piece, _ in runs])
        if not alone and not any(count >= 3 and piece[0] != "{" for piece, count in runs):
            return [f'{name} = register_module("{key}", {self.write(values)});']
        lines, first = [], []
        while runs and runs[0][1] < 3 and not alone:
            piece, count = runs.pop(0)
            first += [piece] * count
        if self.copies(first):
            runs, first = [[first[0], 1], *runs], []
        begun = f"{self.type}{{{', '.join(first)}}}" if first else f"{self.type}()"
        lines.append(f'{name} = register_module("{key}", {begun});')
        for piece, count in runs:
            push = f"{name}->push_back({piece});"
            lines += guarded(f"for (int i = 0; i < {count}; ++i)", [push]) if count >= 3 else [push] * count
        return lines


class Ported:
    """A module of a struct of the page."""

    def __init__(self, struct, module):
        self.struct = struct
        self.values = [parameter.values[id(module)] for parameter in struct.parameters]
        self.key, self.type = ("struct", struct.name), struct.name

    def names_of_values(self):
        return [parameter.name for parameter in self.struct.parameters]

    def write(self, values):
        values = list(values)
        for parameter in reversed(self.struct.parameters):
            if parameter.default is None or type(values[-1]) is not type(parameter.default) or \
                    values[-1] != parameter.default:
                break
            values.pop()
        # A holder passes its arguments on, and braces have no type to pass on.
        given = [f"{parameter.type}({layers.written(value)})" if isinstance(value, tuple) else layers.written(value)
                 for parameter, value in zip(self.struct.parameters, values)]
        return f"{self.struct.name}({', '.join(given)})"


layers.Leaf.names_of_values = lambda self: self.names


class Specs:
    """The specs of a tree of modules. Structs come to stand in `structs`, by the ids of their modules."""

    def __init__(self, root, origins):
        self.paths = {id(m): path for path, m in root.named_modules()}
        self.structs, self.known, self.weights, self.constants = {}, {}, {}, {}
        self.origins = origins

    def refuse(self, m, what):
        raise Refused(type(m), self.paths.get(id(m), ""), what)

    def leaf(self, m):
        """The spec of a module of a class that C++ has; None for others."""
        if id(m) in self.known:
            return self.known[id(m)]
        try:
            spec = parametrized.leaf_of(m)
        except layers.Unequal as why:
            raise Refused(parametrized.layer_of(m), self.paths.get(id(m), ""), f"{why}, which C++ has not")
        for hooks, name in ((m._forward_hooks, "forward hooks"), (m._forward_pre_hooks, "forward pre-hooks"),
                            (m._backward_hooks, "backward hooks")):
            if hooks and not (spec and hooks is m._forward_pre_hooks):
                self.refuse(m, f"{name}, which C++ has not ({', '.join(type(h).__name__ for h in hooks.values())})")
        spec = spec or ours.leaf_of(m)
        if spec is None and type(m) in layers.TABLE:
            try:
                spec = layers.TABLE[type(m)](m)
            except layers.Unequal:
                pass  # Its class becomes a struct, as others do.
        self.known[id(m)] = spec
        return spec

    @staticmethod
    def is_sequential(m):
        """Also of a class that adds nothing to it but what its constructor puts into it."""
        return isinstance(m, nn.Sequential) and type(m).forward is SEQUENTIAL and not m._parameters and not m._buffers

    @classmethod
    def is_list(cls, m):
        return cls.is_sequential(m) or type(m) in (nn.ModuleList, nn.ModuleDict)

    def of(self, m):
        """The spec of any module, once all structs in it are there."""
        if id(m) in self.structs:
            return Ported(self.structs[id(m)], m)
        leaf = self.leaf(m)
        if leaf is not None:
            return leaf
        names = list(m._modules)
        if any(part is None for part in m._modules.values()):
            self.refuse(m, "a child that is None")
        parts = [self.of(part) for part in m._modules.values()]
        if type(m) in (nn.ModuleList, nn.ModuleDict):
            return Sequence(names, parts, f"nn::{type(m).__name__}")
        for i, (name, part) in enumerate(zip(names, parts)):
            if isinstance(part, Ported) and not part.struct.is_block:
                self.refuse(m, f"the child {name}, which does not map one tensor to one, in an nn.Sequential")
            if isinstance(part, layers.Leaf) and part.parameters:
                self.refuse(m, f"the child {name}, which does not map one tensor to one, in an nn.Sequential")
            if isinstance(part, layers.Leaf) and not part.inputs_kept and i == 0:
                self.refuse(m, f"an in-place {part.type} at the beginning of an nn.Sequential: torch::nn's has no such "
                               "form")
        return Sequence(names, parts)
