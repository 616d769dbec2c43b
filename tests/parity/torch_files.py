"""Files for tests/files/torch_file_test.cpp: torch_files.py FOLDER

FOLDER gets files of torch.save, whole ones and broken ones, and manifest.json, which says of each what
torch.load(weights_only=True) makes of it, or what we expect where that refuses: tensors (dtype, shape,
strides and bytes), or an error. Processes that may crash read them.
"""

import argparse
import collections
import io
import json
import os
import pickle
import resource
import signal
import struct
import sys
import zipfile
from pathlib import Path
from unittest import mock

import numpy
import torch
from torch import nn

from checkpoints import DTYPES, described, of_dtype


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.ModuleList([nn.PReLU()]))
        self.register_buffer("grid", torch.randn(3), persistent=False)
        self.scale = nn.Parameter(torch.randn(()))
        for buffer in self.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2)

    def forward(self, x):
        return self.body[0](self.bn(self.conv(x)).mean((2, 3))) * self.scale


class Stream(nn.Module):
    """Tensors and lists of them that are neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)
        self.register_buffer("mean", torch.randn(3))
        self._state = torch.zeros(2, 1, 4)
        self.frames = [torch.zeros(2), torch.ones(2)]
        self.named: dict[str, torch.Tensor] = {"x": torch.zeros(3)}

    def forward(self, x):
        hidden, self._state = self.cell(x - self.mean)
        return hidden + self.frames[0].sum() + self.named["x"].sum()


class Streaming(nn.Module):
    def __init__(self):
        super().__init__()
        self._context = torch.zeros(0)
        self.model = Stream()
        self.scale = nn.Parameter(torch.randn(2))

    def forward(self, x):
        return self.model(x) * self.scale.sum() + self._context.sum()


class Derived(collections.OrderedDict):
    pass


Pair = collections.namedtuple("Pair", "first second")


def shape_of(tensor):
    plain = tensor.detach().resolve_conj().resolve_neg()
    return {**described(plain), "stride": list(tensor.stride())}


def flat(value, path=None, outer=()):
    """The tensors and texts of nested containers under their paths."""
    if id(value) in outer:
        return
    outer = (*outer, id(value))

    def below(items):
        for key, inner in items:
            yield from flat(inner, str(key) if path is None else f"{path}.{key}", outer)

    if isinstance(value, torch.Tensor):
        yield "0" if path is None else path, value
    elif isinstance(value, nn.Module):
        yield from flat(dict(value.state_dict()), path, outer)
    elif isinstance(value, dict):
        yield from below((key if type(key) in (str, int) else i, inner) for i, (key, inner) in enumerate(value.items()))
    elif isinstance(value, (list, tuple, set)):
        yield from below(enumerate(value))
    elif isinstance(value, argparse.Namespace):
        yield from flat(vars(value), path, outer)
    elif isinstance(value, (bool, str, float)) or isinstance(value, int) and abs(value) < 1 << 63:
        yield path, value


def tensors_of(value):
    return {path: shape_of(leaf) for path, leaf in flat(value) if isinstance(leaf, torch.Tensor)}


def shared(value):
    """Pairs of tensors that have one storage."""
    groups = collections.defaultdict(list)
    for path, leaf in flat(value):
        if isinstance(leaf, torch.Tensor) and leaf.untyped_storage().nbytes():
            groups[leaf.untyped_storage().data_ptr()].append(path)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def whole():
    """(name, object, how to save it, the options of load_checkpoint(), what they choose)."""
    torch.manual_seed(6)
    net = Net()
    state = net.state_dict()
    base = torch.randn(4, 6)
    views = {"all": base, "row": base[1], "column": base[:, 2], "part": base[1:3, 2:5], "transposed": base.t(),
             "number": base[3, 5], "diagonal": base.diagonal(), "stepped": base[::2, ::3], "other": torch.randn(2)}
    strides = {"channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
               "expanded": torch.randn(3, 1).expand(3, 4), "offset": torch.randn(10)[7:], "permuted": torch.randn(2, 3, 4).permute(2, 0, 1)}
    kinds = {name: of_dtype(name, 2, 6) for name in DTYPES if name != "float4_e2m1fn_x2"}
    kinds |= {"complex128": of_dtype("complex128", 3), "complex32": of_dtype("complex32", 3)}
    sizes = {"number": torch.tensor(1.5), "int": torch.tensor(-3), "bool": torch.tensor(True), "empty": torch.empty(0),
             "rows": torch.empty(3, 0, 2), "one": torch.tensor([7.5]), "deep": torch.randn([1] * 20 + [2])}
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    training = {"epoch": 3, "lr": 0.1, "name": "run", "best": True, "big": 1 << 70, "none": None, "nan": float("nan"),
                "optimizer": optimizer.state_dict()}
    attributed = nn.Parameter(torch.randn(3))
    attributed.tag = "x"

    def cases():
        yield "state_dict", state, {}, {}, state
        yield "plain_dict", dict(state), {}, {}, state
        yield "parameters", dict(net.named_parameters()), {}, {}, dict(net.named_parameters())
        yield "attributed_parameter", {"p": attributed}, {}, {}, {"p": attributed}
        yield "views", views, {}, {}, views
        yield "strides", strides, {}, {}, strides
        yield "dtypes", kinds, {}, {}, kinds
        yield "sizes", sizes, {}, {}, sizes
        yield "conj_and_neg", {"conj": torch.randn(3, dtype=torch.complex64).conj(), "neg": torch.randn(3, dtype=torch.complex64).conj().imag}, {}, {}, None
        yield "tied", {"a": base, "b": base}, {}, {}, {"a": base, "b": base}
        yield "empty", {}, {}, {}, {}
        yield "empty_ordered", collections.OrderedDict(), {}, {}, {}
        yield "list", [base, views["row"]], {}, {}, [base, views["row"]]
        yield "tuple", (base, 1), {}, {}, (base, 1)
        yield "tensor", base, {}, {}, base
        yield "numbered", {0: base, 1: {2: views["row"]}}, {}, {"everything": True}, {0: base, 1: {2: views["row"]}}
        yield "odd_names", {name: torch.randn(2) for name in ["", " ", "a.b", "Füße", "卷积🙂", "x" * 5000, "new\nline", "null\0"]}, {}, {}, None
        yield "data_parallel", {"module." + key: value for key, value in state.items()}, {}, {}, None
        for name in ("state_dict", "model", "model_state_dict", "params", "params_ema", "net", "weights"):
            yield f"nested_{name}", {**training, name: state}, {}, {}, state
        yield "nested_everything", {**training, "model": state}, {}, {"everything": True}, {**training, "model": state}
        yield "nested_at", {**training, "ema": {"model": state, "decay": 0.9}, "model": {"x": base}}, {}, {"at": "ema.model"}, state
        yield "nested_at_dotted", {"a.b": {"c": {"x": base}}, "a": {"b": 1}}, {}, {"at": "a.b.c"}, {"x": base}
        yield "nested_at_optimizer", {**training, "model": state}, {}, {"at": "optimizer.state"}, training["optimizer"]["state"]
        yield "nested_at_tensor", {"a": {"b": base}}, {}, {"at": "a.b"}, base
        yield "state_with_numbers", {"a": base, "epoch": 4}, {}, {}, {"a": base}
        scalars = {"mask": [True] * 5000, "none": [None] * 5000, "words": ["cat", "dog"] * 3000, "classes": list(range(9)) * 1000}
        yield "many_scalars", {"state_dict": state, "of_each_image": scalars}, {}, {}, state
        containers = {"defaultdict": collections.defaultdict(list, {"x": base}), "counter": collections.Counter(["a", "a", "b"]),
                      "derived": Derived(a=base, n=2), "pair": Pair(base, views["row"]), "set": {1, 2}}
        yield "containers", containers, {}, {"everything": True}, containers
        yield "derived_state_dict", {"state_dict": Derived(state), "epoch": 3}, {}, {}, state
        yield "other_keys", {("a", 1): base, 2.5: views["row"], "b": views["other"]}, {}, {}, {"0": base, "1": views["row"], "b": views["other"]}
        yield "same_dict_twice", {"a": (twice := {"x": base}), "b": twice}, {}, {"everything": True}, {"a": twice, "b": twice}
        for protocol in (1, 2, 3, 4, 5):
            yield f"protocol_{protocol}", {**training, "model": state}, {"pickle_protocol": protocol}, {}, state
        yield "protocol_1_containers", containers, {"pickle_protocol": 1}, {"everything": True}, containers
        yield "protocol_1_module", {"net": net, "args": argparse.Namespace(lr=0.5, old=False)}, {"pickle_protocol": 1}, {}, net
        yield "cuda", state, {"location": "cuda:1"}, {}, state
        yield "mps", state, {"location": "mps"}, {}, state
        yield "module", net, {}, {}, net
        yield "module_in_dict", {"model": net, "args": argparse.Namespace(lr=0.5, name="n")}, {}, {}, net
        yield "many", {f"layer{i}": torch.tensor([float(i)]) for i in range(66000)}, {}, {}, None

    for name, value, how, options, chosen in cases():
        yield name, value, how, options, value if chosen is None else chosen
        if name != "many":
            legacy = {**how, "_use_new_zipfile_serialization": False}
            # The old format has no types of its own for the new dtypes and bits.
            yield f"legacy_{name}", value, legacy, options, value if chosen is None else chosen


def save(value, path, how):
    how = dict(how)
    location = how.pop("location", None)
    if location is None:
        torch.save(value, path, **how)
    else:
        with mock.patch("torch.serialization.location_tag", lambda storage: location):
            torch.save(value, path, **how)


# ------------------------------------------------------------------------------- pickles by hand

def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(value)) + value


def number(value):
    return b"\x8a" + bytes([16]) + value.to_bytes(16, "little", signed=True) if not -2**63 <= value < 2**63 else b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(value if isinstance(value, bytes) else number(value) for value in values) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


HOOKS = name("collections", "OrderedDict") + b")R"


def storage(kind="FloatStorage", key="0", size=6, module="torch"):
    return b"(" + text("storage") + name(module, kind) + text(key) + text("cpu") + (size if isinstance(size, bytes) else number(size)) + b"tQ"


def tensor(of=None, offset=0, sizes=(2, 3), strides=(3, 1), function="_rebuild_tensor_v2", more=b""):
    return (name("torch._utils", function) + b"(" + (storage() if of is None else of) + (offset if isinstance(offset, bytes) else number(offset)) +
            (sizes if isinstance(sizes, bytes) else numbers(sizes)) + (strides if isinstance(strides, bytes) else numbers(strides)) + b"\x89" + HOOKS + more + b"tR")


def a_dict(**members):
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in members.items()) + b"u."


SIX = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


def archive(data, records=None, **changes):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for key, value in {"data.pkl": data, "byteorder": b"little", "data/0": SIX, "version": b"3\n", **(records or {})}.items():
            if value is not None:
                file.writestr(zipfile.ZipInfo("archive/" + key), value)
    return buffer.getvalue()


def legacy(data, keys=("0",), storages=None, magic=None, protocol=1001, system=None):
    dump = lambda value: pickle.dumps(value, protocol=2)  # noqa: E731
    return (dump(0x1950a86a20f9469cfc6c if magic is None else magic) + dump(protocol) +
            dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {}} if system is None else system) + data + dump(list(keys)) +
            (struct.pack("<q", 6) + SIX if storages is None else storages))


def patched(content, at, value):
    return content[:at] + value + content[at + len(value):]


def crafted():
    """(name, bytes): what torch.save does not write."""
    good = a_dict(a=tensor())
    yield "good", archive(good)
    yield "legacy_good", legacy(good.replace(number(6) + b"tQ", number(6) + b"NtQ"))

    # Lies about a tensor.
    for key, value in {
            "offset_beyond": tensor(offset=1), "offset_far": tensor(offset=1 << 40), "offset_max": tensor(offset=(1 << 63) - 1), "offset_negative": tensor(offset=-1),
            "offset_text": tensor(offset=text("0")), "offset_none": tensor(offset=b"N"), "offset_huge": tensor(offset=1 << 70),
            "sizes_large": tensor(sizes=(2, 4)), "sizes_huge": tensor(sizes=(1 << 40, 1 << 40)), "sizes_max": tensor(sizes=((1 << 63) - 1, 1)),
            "sizes_wrap": tensor(sizes=(1 << 62, 4), strides=(4, 1)), "sizes_wrap_zero_stride": tensor(sizes=(1 << 62, 1 << 62), strides=(0, 0)),
            "sizes_negative": tensor(sizes=(-2, 3)), "sizes_text": tensor(sizes=numbers([text("2"), 3])), "sizes_none": tensor(sizes=b"N"),
            "sizes_number": tensor(sizes=number(6)), "sizes_nested": tensor(sizes=numbers([numbers([2]), 3])), "sizes_bigint": tensor(sizes=(1 << 70, 1)),
            "strides_large": tensor(strides=(4, 1)), "strides_huge": tensor(strides=(1 << 62, 1 << 62)), "strides_max": tensor(strides=((1 << 63) - 1, 1)),
            "strides_negative": tensor(strides=(-3, 1)), "strides_few": tensor(strides=(1,)), "strides_many": tensor(strides=(3, 1, 1)), "strides_none": tensor(strides=b"N"),
            "empty_far_away": tensor(offset=100, sizes=(0,), strides=(1,)), "empty_overflow": tensor(sizes=(0, 1 << 40, 1 << 40), strides=(1, 1, 1)),
            "overlapping": tensor(sizes=(2, 2), strides=(1, 1)), "zero_strides": tensor(sizes=(5, 5), strides=(0, 0)), "number": tensor(sizes=(), strides=()),
            "dimensions_64": tensor(sizes=[1] * 64, strides=[1] * 64), "dimensions_65": tensor(sizes=[1] * 65, strides=[1] * 65), "dimensions_5000": tensor(sizes=[1] * 5000, strides=[1] * 5000),
            "storage_short": tensor(storage(size=5)), "storage_long": tensor(storage(size=7)), "storage_huge": tensor(storage(size=1 << 40)), "storage_max": tensor(storage(size=(1 << 63) - 1)),
            "storage_negative": tensor(storage(size=-6)), "storage_zero": tensor(storage(size=0)), "storage_bigint": tensor(storage(size=1 << 70)), "storage_text_size": tensor(storage(size=text("6"))),
            "storage_missing": tensor(storage(key="9")), "storage_up": tensor(storage(key="../data/0")), "storage_absolute": tensor(storage(key="/etc/passwd")), "storage_empty_key": tensor(storage(key="")),
            "storage_is_pickle": tensor(storage(key="../data.pkl")), "storage_double": tensor(storage("DoubleStorage", size=3), sizes=(3,), strides=(1,)),
            "storage_double_short": tensor(storage("DoubleStorage", size=6)), "storage_unknown": tensor(storage("FooStorage")), "storage_other_module": tensor(storage("FloatStorage", module="os")),
            "storage_function": tensor(storage("load")), "storage_untyped": tensor(storage("UntypedStorage", size=24, module="torch.storage"), sizes=(24,), strides=(1,)),
            "no_storage": tensor(b"N"), "storage_is_tensor": tensor(tensor()), "persistent_text": b"" + text("0") + b"Q", "persistent_empty": b")Q", "persistent_short": b"(" + text("storage") + b"tQ",
            "persistent_other": b"(" + text("stowage") + name("torch", "FloatStorage") + text("0") + text("cpu") + number(6) + b"tQ",
            "two_sizes": tensor() + text("b") + tensor(storage(size=5), sizes=(2,), strides=(1,)), "two_types": tensor() + text("b") + tensor(storage("IntStorage"), sizes=(6,), strides=(1,)),
            "v3": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=name("torch", "float32")),
            "v3_int": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=name("torch", "int32")),
            "v3_double": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=name("torch", "float64")),
            "v3_no_dtype": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3"),
            "v3_text_dtype": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=text("float32")),
            "v3_unknown_dtype": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=name("torch", "float31")),
            "v3_quantized": tensor(storage("UntypedStorage", size=24, module="torch.storage"), function="_rebuild_tensor_v3", more=name("torch", "qint8")),
            "v1": name("torch._utils", "_rebuild_tensor") + b"(" + storage() + number(0) + numbers([6]) + numbers([1]) + b"tR",
            "few_arguments": name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage() + b"tR", "no_arguments": name("torch._utils", "_rebuild_tensor_v2") + b")R",
            "arguments_none": name("torch._utils", "_rebuild_tensor_v2") + b"NR", "parameter_of_nothing": name("torch._utils", "_rebuild_parameter") + b")R",
            "parameter_of_text": name("torch._utils", "_rebuild_parameter") + b"(" + text("x") + b"\x88" + HOOKS + b"tR",
            "parameter": name("torch._utils", "_rebuild_parameter") + b"(" + tensor() + b"\x88" + HOOKS + b"tR",
            "sparse": name("torch._utils", "_rebuild_sparse_tensor") + b"(" + tensor() + b"tR",
            "not_called": name("torch._utils", "_rebuild_tensor_v2"), "size": tensor(sizes=name("torch", "Size") + b"(" + numbers([2, 3]) + b"tR")}.items():
        yield "tensor_" + key, archive(a_dict(a=value))
        if not key.startswith(("v3", "storage_untyped", "storage_up", "storage_is_pickle", "storage_absolute")):
            yield "legacy_tensor_" + key, legacy(a_dict(a=value.replace(b"tQ", b"NtQ")))

    # Two members of one name.
    yield "same_name_number", archive(b"\x80\x02}(K\x00" + tensor() + text("0") + tensor() + b"u.")
    yield "same_name_dotted", archive(a_dict(**{"a": b"}" + text("b") + tensor() + b"s", "a.b": tensor()}))
    overlapping = archive(a_dict(**{f"t{i}": tensor(storage(key=str(i), size=6000), sizes=(6000,), strides=(1,)) for i in range(400)}),
                          {"data/0": b"x" * 24000})
    end = overlapping.rindex(b"PK\5\6")
    directory = struct.unpack("<I", overlapping[end + 16:end + 20])[0]
    at = overlapping.index(b"archive/data/0", directory) - 46
    record = overlapping[at:at + 46]
    more = b"".join(record[:28] + struct.pack("<H", 13 + len(str(i))) + record[30:] + f"archive/data/{i}".encode() for i in range(1, 400))
    grown = overlapping[:directory] + more + overlapping[directory:end]
    count = struct.unpack("<H", overlapping[end + 10:end + 12])[0] + 399
    yield "overlapping_records", grown + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(grown) - directory, directory, 0)

    # Names of things to call.
    for module, attribute in (("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"), ("subprocess", "Popen"),
                              ("torch", "load"), ("torch.hub", "load"), ("builtins", "__import__"), ("torch.jit", "load"), ("runpy", "run_path"),
                              ("torch.storage", "_load_from_bytes"), ("", ""), ("os", "system\0"), ("a" * 300, "b" * 300)):
        if "\n" in module + attribute:
            continue
        call = name(module, attribute) + b"(" + text("touch /convkit-was-here") + b"tR"
        label = f"{module[:12]}.{attribute[:12]}".replace("\0", "0")
        yield f"call_{label}", archive(b"\x80\x02" + call + b".")
        yield f"call_beside_{label}", archive(a_dict(a=tensor(), b=call))
        yield f"build_{label}", archive(a_dict(a=tensor(), b=name(module, attribute) + b")\x81}b"))

    # Pickles that are no pickles.
    lists = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    bomb = b"\x80\x02](" + text("ha") * 1 + b"eq\x00" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)) + b"."
    tensor_bomb = b"\x80\x02](" + tensor() + b"eq\x00" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)) + b"."
    pairs = b"\x80\x02](" + b"(" + text("k") + text("v") + b"tq\x00" + b"h\x00" * 2000 + b"eq\x01" + (name("collections", "OrderedDict") + b"(h\x01tR") * 2000 + b"t."
    for key, value in {
            "empty": b"", "only_stop": b".", "only_protocol": b"\x80\x02", "no_stop": good[:-1], "stack_empty": b"\x80\x02a.", "stack_empty_reduce": b"\x80\x02R.", "mark_missing": b"\x80\x02t.",
            "mark_as_value": b"\x80\x02(.", "pop_below_mark": b"\x80\x02N(0.", "memo_missing": b"\x80\x02h\x05.", "memo_of_nothing": b"\x80\x02q\x00.", "opcode_0": b"\x80\x02\x00.", "opcode_255": b"\x80\x02\xff.",
            "extension": b"\x80\x02\x82\x01.", "persistent_line": b"\x80\x02P0\n.", "protocol_0": b"(dp0\n.", "protocol_1": b"}q\x00.", "protocol_6": b"\x80\x06}.", "protocol_255": b"\x80\xff}.", "text_cut": b"\x80\x02X\xff\xff\xff\xffab.",
            "text_huge": b"\x80\x05\x8d" + b"\xff" * 8 + b".", "bytes_huge": b"\x80\x05\x8e" + b"\xff" * 8 + b".", "long_huge": b"\x80\x02\x8b\xff\xff\xff\x7f.", "long_negative": b"\x80\x02\x8b\xff\xff\xff\xff.", "frame_huge": b"\x80\x05\x95" + b"\xff" * 8 + b"}.",
            "global_cut": b"\x80\x02ctorch", "global_without_name": b"\x80\x02ctorch\n", "stack_global_numbers": b"\x80\x04K\x01K\x02\x93.", "set_odd": b"\x80\x02}(K\x01u.", "set_on_list": b"\x80\x02](K\x01K\x02u.", "append_on_dict": b"\x80\x02}(K\x01e.",
            "build_on_number": b"\x80\x02K\x01}b.", "build_on_dict": b"\x80\x02}}b.", "reduce_number": b"\x80\x02K\x01)R.", "reduce_text": b"\x80\x02" + text("os.system") + b")R.", "buffer": b"\x80\x05\x97.", "readonly": b"\x80\x05N\x98.",
            "deep_lists": lists, "deep_tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".", "deep_dicts": b"\x80\x02" + b"}K\x00" * 100_000 + b"N" + b"s" * 100_000 + b".", "deep_marks": b"\x80\x02" + b"(" * 200_000 + b".",
            "memo_bomb": bomb, "tensor_bomb": tensor_bomb, "pairs_bomb": pairs, "own_member": b"\x80\x02]q\x00h\x00a.", "own_member_dict": b"\x80\x02}q\x00(" + text("a") + tensor() + text("me") + b"h\x00u.",
            "number": b"\x80\x02K\x05.", "none": b"\x80\x02N.", "text": b"\x80\x02" + text("hello") + b".", "numbers": a_dict(a=number(1), b=text("x")), "no_tensor_list": b"\x80\x02](K\x01K\x02e.", "dict_of_empty": a_dict(a=b"}"),
            "key_twice": b"\x80\x02}(" + text("a") + tensor() + text("a") + tensor(offset=1, sizes=(2,), strides=(1,)) + b"u.", "key_number": b"\x80\x02}(K\x07" + tensor() + b"u.", "key_none": b"\x80\x02}(N" + tensor() + b"u.",
            "key_tuple": b"\x80\x02}()" + tensor() + b"u.", "number_line": b"\x80\x02}(" + text("n") + b"I3000000000\n" + text("a") + tensor() + b"u.", "number_line_broken": b"\x80\x02Ix\n.", "key_not_utf8": b"\x80\x02}(" + text(b"\xff\xfe") + tensor() + b"u.", "trailing": good + b"more", "two": good + good,
            "ordered_pairs": b"\x80\x02" + name("collections", "OrderedDict") + b"(](](" + text("a") + tensor() + b"eetR.", "ordered_broken_pairs": b"\x80\x02" + name("collections", "OrderedDict") + b"(](" + tensor() + b"etR.",
            "ordered_of_number": b"\x80\x02" + name("collections", "OrderedDict") + b"(K\x01tR."}.items():
        yield "pickle_" + key, archive(value)
        if not key.startswith(("trailing", "two")):
            yield "legacy_pickle_" + key, legacy(value.replace(b"tQ", b"NtQ"))

    # Zip files that are none, or others.
    zipped = archive(good)
    end = zipped.rindex(b"PK\5\6")
    directory = struct.unpack("<I", zipped[end + 16:end + 20])[0]
    for key, value in {
            "no_end": zipped[:end], "end_cut": zipped[:end + 10], "directory_far": patched(zipped, end + 16, b"\xff\xff\xff\x7f"), "directory_zero": patched(zipped, end + 16, bytes(4)),
            "count_more": patched(patched(zipped, end + 8, b"\x09\x00"), end + 10, b"\x09\x00"), "count_zero": patched(patched(zipped, end + 8, b"\0\0"), end + 10, b"\0\0"), "entry_broken": patched(zipped, directory, b"XX"),
            "size_more": patched(patched(zipped, directory + 20, b"\xff\xff\xff\x00"), directory + 24, b"\xff\xff\xff\x00"), "sizes_differ": patched(zipped, directory + 24, b"\x01\x00\x00\x00"), "header_far": patched(zipped, directory + 42, b"\xff\xff\xff\x7f"),
            "header_wrong": patched(zipped, directory + 42, b"\x01\x00\x00\x00"), "name_long": patched(zipped, directory + 28, b"\xff\xff"), "extra_long": patched(zipped, directory + 30, b"\xff\xff"), "comment_long": patched(zipped, directory + 32, b"\xff\xff"),
            "encrypted": patched(zipped, directory + 8, b"\x01"), "deflated": patched(zipped, directory + 10, b"\x08"), "local_broken": b"PK\3\4" + zipped[4:26] + b"\xff\xff\xff\xff" + zipped[30:], "comment": zipped[:end + 20] + b"\x05\x00hello",
            "comment_with_end": zipped[:end + 20] + b"\x16\x00" + b"PK\5\6" + bytes(18), "after_end": zipped + b"abc", "before_begin": b"abc" + zipped, "zip64_far": zipped[:end] + b"PK\6\7" + bytes(4) + struct.pack("<QI", 1 << 62, 1) + zipped[end:],
            "zip64_here": zipped[:end] + b"PK\6\7" + bytes(4) + struct.pack("<QI", 4, 1) + zipped[end:], "only_end": b"PK\5\6" + bytes(18), "begin_and_end": b"PK\3\4" + b"PK\5\6" + bytes(18), "no_data": archive(good, {"data.pkl": None}),
            "no_version": archive(good, {"version": None}), "no_byteorder": archive(good, {"byteorder": None}), "big_endian": archive(good, {"byteorder": b"big"}), "odd_byteorder": archive(good, {"byteorder": b"middle"}), "no_storage": archive(good, {"data/0": None}),
            "storage_short": archive(good, {"data/0": SIX[:-1]}), "storage_long": archive(good, {"data/0": SIX + b"x"}), "storage_empty": archive(good, {"data/0": b""})}.items():
        yield "zip_" + key, value
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for key, value in {"data.pkl": good, "byteorder": b"little", "data/0": SIX, "version": b"3\n"}.items():
            file.writestr("archive/" + key, value)
    yield "zip_really_deflated", buffer.getvalue()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        file.writestr("hello.txt", "hello")
    yield "zip_of_text", buffer.getvalue()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        file.writestr("weights/last.ckpt", good)
    yield "zip_of_checkpoint", buffer.getvalue()
    numpy.savez(buffer := io.BytesIO(), a=torch.ones(2).numpy())
    yield "zip_of_numpy", buffer.getvalue()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        for record in ("metadata.json", "config.json", "model.weights.h5"):
            file.writestr(record, "{}")
    yield "zip_of_keras", buffer.getvalue()
    torch.export.save(torch.export.export(nn.Linear(2, 3), (torch.ones(1, 2),)), buffer := io.BytesIO())
    yield "zip_of_export", buffer.getvalue()
    for i in range(50):
        yield f"zip_cut_{i:02}", zipped[:len(zipped) * i // 50]

    # The old format.
    old = legacy(good.replace(b"tQ", b"NtQ"))
    for i in range(50):
        yield f"legacy_cut_{i:02}", old[:len(old) * i // 50]
    data = good.replace(b"tQ", b"NtQ")
    view = lambda *numbers_: a_dict(a=tensor(b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + number(6) + b"(" + text("v") + b"".join(map(number, numbers_)) + b"ttQ", sizes=(2,), strides=(1,)))  # noqa: E731
    for key, value in {
            "wrong_magic": legacy(data, magic=1 << 70), "small_magic": legacy(data, magic=5), "wrong_protocol": legacy(data, protocol=1002), "text_protocol": legacy(data, protocol="1001"), "big_endian": legacy(data, system={"protocol_version": 1001, "little_endian": False, "type_sizes": {}}),
            "system_is_list": legacy(data, system=[1]), "no_keys": legacy(data, keys=()), "other_key": legacy(data, keys=("1",)), "key_twice": legacy(data, keys=("0", "0"), storages=(struct.pack("<q", 6) + SIX) * 2), "key_number": legacy(data, keys=(0,)),
            "keys_unlisted": legacy(data, keys=("0", "5"), storages=(struct.pack("<q", 6) + SIX) * 2), "count_more": legacy(data, storages=struct.pack("<q", 7) + SIX), "count_less": legacy(data, storages=struct.pack("<q", 5) + SIX), "count_huge": legacy(data, storages=struct.pack("<q", 1 << 60) + SIX),
            "count_negative": legacy(data, storages=struct.pack("<q", -1) + SIX), "count_cut": legacy(data, storages=b"\x06\0\0"), "after_end": old + b"abc", "view": legacy(view(2, 4)), "view_beyond": legacy(view(2, 5)), "view_negative": legacy(view(-2, 4)),
            "view_huge": legacy(view((1 << 63) - 1, 4)), "view_small": legacy(view(2, 1)), "view_short": legacy(view(2)),
            "plain_pickle_tensors": pickle.dumps({"a": torch.ones(2)}), "plain_pickle_numpy": pickle.dumps({"model": {"conv.weight": torch.ones(2).numpy()}}, protocol=2),
            "plain_pickle_0": pickle.dumps({"a": 1.5}, protocol=0), "plain_pickle_1": pickle.dumps({"a": 1.5}, protocol=1),
            "plain_pickle": pickle.dumps({"a": 1}, protocol=2), "plain_pickle_5": pickle.dumps({"a": [1.5] * 9}, protocol=5)}.items():
        yield "legacy_" + key if not key.startswith("plain") else key, value


# ---------------------------------------------------------------------------------------- verdicts

def verdicts(paths):
    """What torch.load makes of each file, found out by processes that may crash: the next one begins after the file
    that ended the last."""
    found = []
    while len(found) < len(paths):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with os.fdopen(sender, "w") as pipe:
                for path in paths[len(found):]:
                    signal.alarm(5)
                    try:
                        result = {"tensors": tensors_of(torch.load(path, map_location="cpu", weights_only=True))}
                    except BaseException as error:
                        result = {"error": f"{type(error).__name__}: {error}"[:200]}
                    pipe.write(json.dumps(result) + "\n")
                    pipe.flush()
            os._exit(0)
        os.close(sender)
        with os.fdopen(receiver) as pipe:
            answers = [json.loads(line) for line in pipe if line.endswith("\n")]
        found += answers
        status = os.waitpid(child, 0)[1]
        if len(found) < len(paths):
            found.append({"error": f"crashed: {status}"})
    return found


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    manifest = []
    for stem, value, how, options, chosen in whole():
        path = folder / f"{stem}.pt"
        try:
            save(value, path, how)
        except Exception as error:  # the old format and dtypes that came after it
            assert stem in ("legacy_dtypes", "legacy_conj_and_neg"), (stem, error)
            path.unlink(missing_ok=True)
            continue
        # What was saved, before Python's own reader has a word.
        leaves = dict(flat(value))
        manifest.append({"file": path.name, "options": options, "tensors": tensors_of(chosen), "shared": shared(chosen),
                         "texts": {} if isinstance(value, nn.Module) else
                                  {key: str(leaf) for key, leaf in leaves.items() if not isinstance(leaf, torch.Tensor)}})
    torch.manual_seed(7)
    net = Net().eval()
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))).save(folder / "scripted.pt")
    torch.jit.trace(net, torch.randn(1, 3, 5, 5)).save(folder / "traced.pt")
    torch.jit.script(Streaming()).save(folder / "scripted_attributes.pt")
    for stem in ("scripted", "traced", "scripted_attributes"):
        state = dict(torch.jit.load(folder / f"{stem}.pt").state_dict())
        manifest.append({"file": f"{stem}.pt", "options": {}, "tensors": tensors_of(state), "shared": [], "texts": {}})
    whole_files = len(manifest)
    torch.load(folder / "state_dict.pt", weights_only=True)  # what it imports, children then have
    broken = []
    for stem, content in crafted():
        broken.append(folder / f"crafted_{stem}.pt")
        broken[-1].write_bytes(content)
    manifest += [{"file": path.name, "crafted": True, **given} for path, given in zip(broken, verdicts(broken))]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused = sum("error" in entry for entry in manifest)
    print(f"{whole_files} files and {len(manifest) - whole_files} crafted ones in {folder}, of which Python refuses {refused}")


if __name__ == "__main__":
    main()
