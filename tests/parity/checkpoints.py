"""Files for tests/files/checkpoint_test.cpp: checkpoints.py FOLDER

FOLDER gets .safetensors files, whole ones and broken ones, and manifest.json, which says of each what
Python's own reader makes of it: its tensors (dtype, shape and bytes) or an error. FOLDER/shards gets what
huggingface_hub makes of a model that is too large for one file.
"""

import json
import struct
import sys
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

DTYPES = ["bool", "float4_e2m1fn_x2", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu",
          "float8_e4m3fnuz", "float8_e5m2fnuz", "int16", "uint16", "float16", "bfloat16", "int32", "uint32",
          "float32", "complex64", "float64", "int64", "uint64"]


def of_dtype(name, *shape):
    """A tensor whose bytes are random, NaNs included."""
    dtype = getattr(torch, name)
    if name == "bool":
        return torch.rand(shape) < 0.5
    size = torch.empty(0, dtype=dtype).element_size()
    return torch.randint(0, 256, (*shape[:-1], shape[-1] * size), dtype=torch.uint8).view(dtype)


def written():
    """(name, tensors, metadata) for save_file."""
    torch.manual_seed(5)
    yield "empty", {}, None
    yield "one", {"weight": torch.randn(2, 3)}, None
    yield "dtypes", {f"{name}.{i}": of_dtype(name, 3, 4) for i in range(2) for name in DTYPES}, {"format": "pt"}
    for name in DTYPES:
        yield name, {"b": of_dtype(name, 2, 6), "a": of_dtype(name, 8)}, None
    yield "numbers", {"float": torch.tensor(1.5), "int": torch.tensor(-7), "bool": torch.tensor(True),
                      "one": torch.tensor([2.5])}, None
    yield "zero_sized", {"a": torch.empty(0), "b": torch.empty(3, 0, 2), "c": torch.randn(2),
                         "d": torch.empty(0, dtype=torch.int64), "e": torch.empty(0, 5, dtype=torch.uint8)}, None
    yield "many_dimensions", {"a": torch.randn([1] * 30 + [2, 3])}, None
    odd = ["", " ", ".", "a.b.c", "a/b", "../up", 'quo"te', "back\\slash", "new\nline", "tab\t", "bell\x07",
           "null\x00", "del\x7f", "\x1b[31mred", "Füße", "卷积", "🙂", "\u2028", "x" * 10000, "'", "<a>&amp;", "%s%n"]
    yield "odd_names", {name: torch.randn(1 + i % 3) for i, name in enumerate(odd)}, None
    yield "odd_metadata", {"a": torch.randn(2)}, {'k"e\ny\\🙂': "v\x00\x1f\x7f/卷积" + "long " * 1000}
    yield "empty_metadata_text", {"a": torch.randn(2)}, {"": ""}
    yield "several_metadata", {"a": torch.randn(2)}, {"format": "pt", "b": "2", "a": "1", "epoch": "12"}
    yield "metadata_only", {}, {"format": "pt"}
    yield "many", {f"layers.{i}.weight": torch.randn(2) for i in range(70000)}, {"format": "pt"}


def raw(header, data=b"", length=None):
    if not isinstance(header, (bytes, str)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def crafted():
    """(name, bytes) of files that save_file does not write."""
    eight = bytes(range(1, 9))
    good = json.dumps({"a": entry()})

    # As some writers leave them, and as the format allows.
    yield "unaligned_header", raw(good + " " * ((3 - len(good)) % 8), eight)
    yield "unaligned_tensor", raw({"a": entry("U8", [1], [0, 1]), "b": entry("F32", [2], [1, 9]),
                                   "c": entry("I64", [1], [9, 17])}, bytes(range(17)))
    yield "leading_spaces", raw("  \n\t" + good, eight)
    yield "trailing_spaces", raw(good + " \n\t\r", eight)
    yield "spaced", raw(json.dumps({"a": entry()}, indent=4), eight)
    yield "other_order", raw({"b": entry(offsets=[8, 16]), "a": entry()}, eight + eight)
    yield "escaped_name", raw('{"\\u0061\\ud83d\\ude42":%s}' % json.dumps(entry()), eight)
    yield "unknown_field", raw({"a": entry(quantized=True)}, eight)
    yield "unknown_fields", raw({"a": entry(x={"y": [1, -2, 3.5, None, {"dtype": "F64"}], "shape": "no"}, z=[[[]]])}, eight)
    yield "metadata_null", raw({"__metadata__": None, "a": entry()}, eight)
    yield "metadata_empty", raw({"__metadata__": {}, "a": entry()}, eight)
    yield "metadata_last", raw({"a": entry(), "__metadata__": {"k": "v"}}, eight)
    yield "metadata_like_an_entry", raw({"__metadata__": {"dtype": "F32", "shape": "[2]"}, "a": entry()}, eight)
    yield "zero_dimension", raw({"a": entry(shape=[0, 1 << 20], offsets=[0, 0])})
    yield "header_of_spaces_and_braces", raw("{}      ")
    yield "begin_before_end_of_empty", raw({"a": entry(shape=[0], offsets=[0, 0]), "b": entry(),
                                            "c": entry(shape=[0], offsets=[8, 8])}, eight)

    # Too short, or with a wrong length.
    whole = raw(good, eight)
    yield "no_bytes", b""
    for size in (1, 4, 7, 8, 9, 8 + len(good) // 2, 8 + len(good), len(whole) - 1):
        yield f"cut_after_{size}", whole[:size]
    yield "one_byte_more", whole + b"\0"
    yield "length_zero", raw("", b"", 0)
    yield "length_zero_and_data", raw("", eight, 0)
    yield "length_one_less", raw(good, eight, len(good) - 1)
    yield "length_one_more", raw(good, eight, len(good) + 1)
    yield "length_all", raw(good, eight, len(good) + 8)
    yield "length_beyond_the_file", raw(good, eight, len(good) + 9)
    yield "length_100_million", raw(good, eight, 100_000_000)
    yield "length_100_million_and_1", raw(good, eight, 100_000_001)
    yield "length_2_63", raw(good, eight, 1 << 63)
    yield "length_2_64_minus_1", raw(good, eight, (1 << 64) - 1)
    yield "length_2_64_minus_8", raw(good, eight, (1 << 64) - 8)
    yield "length_big_endian", struct.pack(">Q", len(good)) + good.encode() + eight

    # Not JSON, or not all of the header.
    for name, text in {
            "not_json": "weights!", "unclosed": good[:-1], "unclosed_text": '{"a', "single_quotes": good.replace('"', "'"),
            "trailing_comma": good[:-1] + ",}", "comment": "/* a */" + good, "line_comment": good + "//", "twice": good + good,
            "trailing_text": good + "x", "no_colon": '{"a" 1}', "nan": '{"a":NaN}', "leading_zero": good.replace("[2]", "[02]"),
            "plus": good.replace("[2]", "[+2]"), "hex": good.replace("[2]", "[0x2]"), "lone_surrogate": '{"\\ud800":%s}' % json.dumps(entry()),
            "low_surrogate_first": '{"\\udc00\\ud800":%s}' % json.dumps(entry()), "bad_escape": '{"\\q":%s}' % json.dumps(entry()),
            "raw_newline": '{"a\nb":%s}' % json.dumps(entry()), "utf16": good.encode("utf-16-le"),
            "byte_order_mark": b"\xef\xbb\xbf" + good.encode(), "not_utf8": good.encode().replace(b'"a"', b'"\xff"'),
            "overlong_utf8": good.encode().replace(b'"a"', b'"\xc0\xaf"'), "cut_utf8": good.encode().replace(b'"a"', b'"\xe5\x8d"'),
            "surrogate_utf8": good.encode().replace(b'"a"', b'"\xed\xa0\x80"'), "zero_padding": good.encode() + bytes(8),
            "zero_inside": good.encode().replace(b'"a"', b'"a\0"'), "zero_first": b"\0" + good.encode()}.items():
        yield name, raw(text, eight)
    yield "deep_lists", raw("[" * 100_000, eight)
    yield "deep_objects", raw('{"a":' * 100_000, eight)
    yield "deep_field", raw('{"a":{"x":' + "[" * 200_000 + "]" * 200_000 + "}}", eight)
    for levels in (124, 125, 126, 127, 128):
        yield f"deep_{levels}", raw(json.dumps({"a": entry(x="DEEP")}).replace('"DEEP"', "[" * levels + "]" * levels), eight)
    yield "deep_but_closed", raw(json.dumps({"a": entry(x="DEEP")}).replace('"DEEP"', "[" * 200 + "]" * 200), eight)

    # JSON of another shape.
    for name, header in {
            "number": 1, "text": "text", "null": None, "true": True, "list": [], "list_of_entries": [entry()],
            "entry_number": {"a": 1}, "entry_null": {"a": None}, "entry_text": {"a": "F32"}, "entry_list": {"a": ["F32", [2], [0, 8]]},
            "entry_empty": {"a": {}}, "metadata_number": {"__metadata__": {"k": 1}, "a": entry()},
            "metadata_nested": {"__metadata__": {"k": {}}, "a": entry()}, "metadata_value_null": {"__metadata__": {"k": None}, "a": entry()},
            "metadata_list": {"__metadata__": [], "a": entry()}, "metadata_text": {"__metadata__": "pt", "a": entry()},
            "no_dtype": {"a": {"shape": [2], "data_offsets": [0, 8]}}, "no_shape": {"a": {"dtype": "F32", "data_offsets": [0, 8]}},
            "no_offsets": {"a": {"dtype": "F32", "shape": [2]}}, "dtype_number": {"a": entry(dtype=1)}, "dtype_null": {"a": entry(dtype=None)}, "dtype_object": {"a": entry(dtype={"F32": None})},
            "dtype_list": {"a": entry(dtype=["F32"])}, "dtype_lower": {"a": entry(dtype="f32")}, "dtype_unknown": {"a": entry(dtype="F31")},
            "dtype_empty": {"a": entry(dtype="")}, "dtype_complex128": {"a": entry("C128", [1], [0, 8])},
            "shape_number": {"a": {**entry(), "shape": 2}}, "shape_null": {"a": {**entry(), "shape": None}},
            "shape_text": {"a": entry(shape=["2"])}, "shape_nested": {"a": entry(shape=[[2]])}, "shape_negative": {"a": entry(shape=[-2])},
            "shape_two_negatives": {"a": entry(shape=[-1, -2])}, "shape_float": {"a": entry(shape=[2.0])},
            "shape_object": {"a": {**entry(), "shape": {"0": 2}}}, "shape_too_small": {"a": entry(shape=[1])},
            "shape_too_large": {"a": entry(shape=[3])}, "shape_zero": {"a": entry(shape=[0])},
            "shape_overflow": {"a": entry(shape=[1 << 62, 4])}, "shape_wraps_to_8": {"a": entry(shape=[(1 << 61) + 1, 2])},
            "shape_2_64": {"a": entry(shape=[1 << 64])}, "shape_many_overflow": {"a": entry(shape=[1 << 32] * 4)},
            "offsets_one": {"a": entry(offsets=[8])}, "offsets_three": {"a": entry(offsets=[0, 8, 8])}, "offsets_none": {"a": entry(offsets=[])},
            "offsets_text": {"a": entry(offsets=["0", "8"])}, "offsets_negative": {"a": entry(offsets=[-8, 0])},
            "offsets_float": {"a": entry(offsets=[0, 8.0])}, "offsets_reversed": {"a": entry(offsets=[8, 0])},
            "offsets_beyond": {"a": entry(offsets=[0, 16], shape=[4])}, "offsets_short": {"a": entry(offsets=[0, 4], shape=[1])},
            "offsets_begin_late": {"a": entry(offsets=[4, 8], shape=[1])}, "offsets_2_64": {"a": entry(offsets=[0, 1 << 64])},
            "offsets_wrap": {"a": entry(offsets=[(1 << 64) - 8, (1 << 64) - 1])},
            "overlap": {"a": entry(), "b": entry(offsets=[4, 12])}, "same_bytes": {"a": entry(), "b": entry()},
            "hole": {"a": entry("U8", [2], [0, 2]), "b": entry("U8", [2], [6, 8])},
            "nothing_described": {}, "only_metadata": {"__metadata__": {"k": "v"}},
            "f4_odd": {"a": entry("F4", [3], [0, 1])}, "f4_number": {"a": entry("F4", [], [0, 1])}}.items():
        yield name, raw(header, eight)
    yield "f6_e2m3", raw({"a": entry("F6_E2M3", [4], [0, 3])}, eight[:3])
    yield "f6_e3m2", raw({"a": entry("F6_E3M2", [4], [0, 3])}, eight[:3])
    yield "zero_dimension_negative", raw({"a": entry(shape=[0, -1], offsets=[0, 0])})
    yield "zero_dimension_overflow", raw({"a": entry(shape=[0, 1 << 40, 1 << 40], offsets=[0, 0])})
    yield "zero_dimension_last_overflow", raw({"a": entry(shape=[1 << 40, 1 << 40, 0], offsets=[0, 0])})
    yield "zero_dimension_2_63", raw({"a": entry(shape=[1 << 63, 0], offsets=[0, 0])})
    yield "dimensions_65", raw({"a": entry(shape=[1] * 64 + [2])}, eight)
    yield "dimensions_100000", raw({"a": entry(shape=[1] * 100_000 + [2])}, eight)
    yield "two_names", raw('{"a":%s,"a":%s}' % (json.dumps(entry()), json.dumps(entry(offsets=[8, 16]))), eight * 2)
    yield "two_names_escaped", raw('{"a":%s,"\\u0061":%s}' % (json.dumps(entry()), json.dumps(entry())), eight)
    yield "two_dtypes", raw('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}', eight)
    yield "two_shapes", raw('{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}}', eight)
    yield "two_offsets", raw('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}', eight)
    yield "two_metadata", raw('{"__metadata__":{"a":"1"},"__metadata__":{"b":"2"},"a":%s}' % good[5:-1], eight)
    yield "two_metadata_keys", raw('{"__metadata__":{"a":"1","a":"2"},"a":%s}' % good[5:-1], eight)
    yield "control_name", raw({"\x1b[31m\n": entry(dtype="\x1b]0;title\x07")}, eight)

    # Other kinds of file.
    yield "html", b"\n<!DOCTYPE html>\n<html><body>404</body></html>\n"
    yield "html_lower", b"<html><head><title>Sign in</title></head></html>"
    yield "xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
    yield "git_lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    yield "tar", bytes(257) + b"ustar\x0000" + bytes(512)
    yield "gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x02\x00"
    yield "zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(20)
    yield "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(40)
    yield "gguf", b"GGUF\x03\x00\x00\x00" + bytes(16)
    yield "numpy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}"
    yield "pickle", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    yield "index_json", b'{\n  "metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00002.safetensors"}\n}\n'
    yield "zeros", bytes(64)
    yield "ones", b"\xff" * 64
    yield "text", b"hello, world\n"


def described(tensor):
    flat = tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "bytes": bytes(flat.tolist()).hex()}


def verdict(path):
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: described(tensor) for name, tensor in file.get_tensors().items()}
            return {"tensors": tensors, "metadata": file.metadata() or {}}
    except BaseException as error:  # pyo3's panics are no Exceptions
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    manifest = []
    for name, tensors, metadata in written():
        path = folder / f"{name}.safetensors"
        save_file(tensors, path, metadata)
        manifest.append({"file": path.name, "written": True, **verdict(path)})
        assert len(manifest[-1]["tensors"]) == len(tensors), name
    for name, content in crafted():
        path = folder / f"crafted_{name}.safetensors"
        path.write_bytes(content)
        manifest.append({"file": path.name, "written": False, **verdict(path)})
    shards = folder / "shards"
    shards.mkdir(exist_ok=True)
    state = {f"layers.{i}.weight": torch.randn(i, 3) for i in range(9)} | {"Füße": torch.arange(40)}
    save_torch_state_dict(state, shards, max_shard_size=200, metadata={"epoch": "3"})
    save_file(state, folder / "shards" / "whole")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused = sum("error" in entry for entry in manifest)
    print(f"{len(manifest)} files in {folder}, of which Python refuses {refused}")


if __name__ == "__main__":
    main()
