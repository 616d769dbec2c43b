"""What forwards take and give beside tensors and lists of them: dicts, named tuples, data classes, and tuples of
different things. In C++ they are small structs, and std::tuple."""

import dataclasses
import textwrap

import torch

from .refused import Refused
from .sizes import Size
from .structs import identifier

PLAIN = {"Tensor": "torch::Tensor", "Tensors": "std::vector<torch::Tensor>", "int64_t": "int64_t", "bool": "bool"}


class Record:
    """The type of such a value. `source` says what names it: the Python class of a named tuple or a data class, or for
    a dict the id of the module that gives it and the words after that one's name; `tuple` and `list` have no name."""

    def __init__(self, source, members):
        self.source, self.members = source, members  # the type of each member by its key

    def key(self, specs):
        """The same for all modules of a struct."""
        return (specs.structs[self.source[0]].name, *self.source[1:]) if isinstance(self.source, tuple) else self.source


def parts_of(value):
    """The members of a dict, a named tuple or a data class; None of anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return dict(value)
    return value._asdict() if hasattr(value, "_asdict") and hasattr(value, "_fields") else None


def has_tensors(value):
    if isinstance(value, (torch.Tensor, Size)):
        return True
    parts = parts_of(value) if not isinstance(value, (list, tuple)) else dict(enumerate(value))
    return any(map(has_tensors, (parts or {}).values()))


def kept_of(value):
    """The members of a dict, list or tuple that C++ gives as well: constants are known to whoever asks for them."""
    parts = parts_of(value)
    if parts is None:
        parts = dict(enumerate(value)) if isinstance(value, (list, tuple)) else {}
    return {key: inner for key, inner in parts.items() if inner is None or has_tensors(inner)}


def is_named(value):
    return dataclasses.is_dataclass(value) or not isinstance(value, dict)


def made(context, value, source):
    """What a result or an argument is in the graph of a context, and its type. `source` names the dicts in it."""
    what = "a result" if source[1] == "Output" else f"the argument {source[1]}"
    if value is None:
        return None, "Tensor"
    if isinstance(value, (torch.Tensor, int)):
        node = context.of(value)
        return node, getattr(node, "type", "int64_t")
    known = context.known(value)
    if known is not None and known.type != "Tuple":
        return known, known.type
    parts = parts_of(value)
    nameless = parts is None and isinstance(value, (list, tuple))
    if nameless:
        parts = dict(enumerate(value))
    all_kept = True
    # The result of the whole is for others, who do not know its constants.
    if source[1] == "Output" and context.module is not context.tracer.root and has_tensors(value):
        kept = kept_of(value)
        all_kept, parts = len(kept) == len(parts), kept
        if nameless and len(kept) == 1 and not all_kept:
            return made(context, *kept.values(), source)
    if not parts:
        context.refuse(f"{what} of type {type(value).__name__}")
    for key, inner in parts.items():
        # The members of a tuple can be told apart from the trace's sizes; those of others cannot.
        if isinstance(inner, (bool, float, str)) or isinstance(inner, int) and not nameless:
            context.refuse(f"{what} of type {type(value).__name__}, in which {key} is no tensor")
    inner = {key: made(context, part, (*source, str(key))) for key, part in parts.items()}
    values, types = ({key: pair[i] for key, pair in inner.items()} for i in (0, 1))
    if not nameless:
        for key, node in values.items():
            if getattr(node, "name", "") is None and str(key).isidentifier():
                node.name = str(key)
        return values, Record(type(value) if is_named(value) else source, types)
    if all_kept and all(type == "Tensor" for type in types.values()):
        return (context.of(value) if known is None else list(values.values())), "Tensors"
    alike = all_kept and len({type if isinstance(type, str) else id(type) for type in types.values()}) == 1
    return values, Record(list if alike else tuple, types)


def joined(kind, types, specs):
    """The one type of what a module gives in both modes: one tensor alone is the first of several."""
    names = {type for type in types if isinstance(type, str)}
    records = sorted((type for type in types if isinstance(type, Record)), key=lambda record: -len(record.members))
    if not records:
        if len(names) == 1:
            return names.pop()
        if names == {"Tensor", "Tensors"}:
            return "Tensors"
    elif names <= {"Tensor"} and len({record.key(specs) for record in records}) == 1:
        members = {}
        for record in records:
            for key, type in record.members.items():
                members[key] = joined(kind, [members.get(key, type), type], specs)
        return Record(records[0].source, members)
    raise Refused(kind, "", "what it gives differs in kind between instances, or between eval mode and training")


def listing(words):
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


class Records:
    """The structs of a page that are no modules."""

    def __init__(self, page):
        self.specs = page.specs
        self.whole, self.names, self.notes, self.written = {}, {}, {}, set()
        self.taken = {struct.name for struct in page.structs}
        for struct in page.structs:
            for record in [struct.result, *(node.type for node in struct.inputs)]:
                self._learn(record, struct)
            if isinstance(struct.result, Record) and struct.result.source not in (tuple, list):
                self._note(struct)

    def _learn(self, record, struct):
        if not isinstance(record, Record):
            return
        for inner in record.members.values():
            self._learn(inner, struct)
        if record.source in (tuple, list):
            return
        key = record.key(self.specs)
        self.whole[key] = joined(struct.kind, [self.whole.get(key, record), record], self.specs)
        if key not in self.names:
            words = key if isinstance(key, tuple) else (key.__name__,)
            base = "".join(word[:1].upper() + word[1:] for word in map(identifier, words)).lstrip("_")
            name, count = base, 2
            while name in self.taken:
                name, count = f"{base}{count}", count + 1
            self.names[key] = name
            self.taken.add(name)

    def _note(self, struct):
        """What of a result is undefined, and when."""
        members = list(self.of(struct.result))
        given = {True: set(), False: set()}  # in training, and in eval mode
        for condition, graph in struct.bodies:
            output = graph.output
            if isinstance(output, dict):
                keys = {key: getattr(node, "training", False) for key, node in output.items() if node is not None}
            else:
                known = graph.result.members if isinstance(graph.result, Record) else members[:1]
                keys = dict.fromkeys(known, False)
            modes = [True, False] if not any("is_training()" in (c or "") for c, _ in struct.bodies) else \
                ["is_training()" in (condition or "")]
            for mode in modes:
                given[mode] |= {key for key, in_training in keys.items() if mode or not in_training}
        notes = []
        for where, missing in (("", set(members) - given[True] - given[False]),
                               (" in eval mode", given[True] - given[False]),
                               (" in training", given[False] - given[True])):
            words = [identifier(str(key)) for key in members if key in missing]
            if words:
                notes.append(f" {listing(words)} {'is' if len(words) == 1 else 'are'} undefined{where}.")
        self.notes[struct.result.key(self.specs)] = "".join(notes)

    def definitions(self, struct):
        """C++ of those that a struct takes or gives, and that no other before it does."""
        lines = []
        for type in [*(node.type for node in struct.inputs), struct.result]:
            self._define(type, lines)
        return lines

    def _define(self, type, lines):
        if not isinstance(type, Record):
            return
        for inner in self.of(type).values():
            self._define(inner, lines)
        key = None if type.source in (tuple, list) else type.key(self.specs)
        if key is None or key in self.written:
            return
        self.written.add(key)
        if not isinstance(key, tuple):
            says = f"{key.__module__}.{key.__qualname__}."
        else:
            verb = "gives" if key[1] == "Output" else "is given"
            says = f"What {key[0]} {verb}{' as ' * bool(key[2:])}{'.'.join(key[2:])}: in Python a dict."
        lines += [f"/// {line}" for line in textwrap.wrap(says + self.notes.get(key, ""), 94)]
        lines.append(f"struct {self.names[key]} {{")
        lines += [f"{self.type(kind)} {identifier(str(name))};" for name, kind in self.of(type).items()]
        lines += ["};", ""]

    def type(self, type):
        """C++ of a type."""
        if not isinstance(type, Record):
            return PLAIN[type]
        inner = list(map(self.type, type.members.values()))
        if type.source is tuple:
            return f"std::tuple<{', '.join(inner)}>"
        return f"std::vector<{inner[0]}>" if type.source is list else self.names[type.key(self.specs)]

    def of(self, type):
        """The members of a type, as all who give it know them."""
        return type.members if type.source in (tuple, list) else self.whole[type.key(self.specs)].members
