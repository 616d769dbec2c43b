"""torch's functions and methods in C++: what their arguments are called in Python, and how C++ writes them."""

import inspect

import torch

from .graph import Expression, Node

# What the example answers once and for all: it is the same for every input that the module is made for.
PLAIN = {"dtype", "device", "layout", "is_cuda", "is_cpu", "is_mps", "is_xla", "is_meta", "requires_grad", "ndim", "dim",
         "is_floating_point", "is_complex", "is_sparse", "is_quantized", "is_nested", "itemsize", "element_size",
         "is_leaf", "names", "get_device", "ndimension", "__hash__", "is_tensor", "promote_types", "result_type", "can_cast"}
# What changes the type alone, or nothing.
CONVERSIONS = {"to", "float", "double", "half", "bfloat16", "long", "int", "bool", "type", "type_as"}
# Of whose results C++ makes a std::tuple where Python's tuple has no names.
TUPLES = {"std_mean", "var_mean", "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"}
# What depends on the numbers in a tensor.
DATA = {"__bool__", "__int__", "__float__", "__index__", "__complex__", "item", "tolist", "numpy", "is_nonzero", "equal",
        "allclose", "nonzero", "unique", "__contains__", "data_ptr", "__array__", "is_contiguous", "stride"}


class Written(str):
    """C++ with the strength of its outermost operator: 3 of a name or call, 2 of a product, 1 of a sum, 0 of others."""

    def __new__(cls, text, strength=3):
        written = super().__new__(cls, text)
        written.strength = strength
        return written


def inside(written, strength):
    """Written as part of something stronger."""
    return written if getattr(written, "strength", 3) >= strength else f"({written})"


class Operator:
    """`parameters` are those of Python, in an order of Python's own functions and methods; `write` makes C++ of them."""

    def __init__(self, parameters, write, varargs=None):
        self.write = write
        names = [word.partition("=") for word in parameters.split()]
        self.signature = inspect.Signature([
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                              default=eval(default) if equals else inspect.Parameter.empty)
            for name, equals, default in names])
        self.varargs = varargs  # the position of a list that may come as several arguments


OPERATORS = {}


# What makes tensors of nothing; C++ takes the device from the first input.
FACTORIES = {"zeros": "size", "ones": "size", "rand": "size", "randn": "size", "full": "size fill_value",
             "arange": "start end=None step=1", "linspace": "start end steps", "eye": "n m=None", "tensor": "data"}


def made(name, args, kwargs):
    """The arguments of a factory."""
    kwargs = {key: value for key, value in kwargs.items() if key not in ("dtype", "device", "requires_grad", "layout")}
    if FACTORIES[name] == "size" and args and not isinstance(args[0], (list, tuple)):
        args = (tuple(args),)
    parameters = [p for p in OPERATORS[name].signature.parameters.values() if p.name not in ("dtype", "like")]
    given = inspect.Signature(parameters).bind(*args, **kwargs)
    given.apply_defaults()
    numbers = flattened(given.arguments.get("data", []))
    if len(numbers) > 64 or any(isinstance(number, torch.Tensor) for number in numbers):
        raise ValueError("more than 64 numbers, or tensors")
    return list(given.arguments.values())


def flattened(data):
    return [number for inner in data for number in flattened(inner)] if isinstance(data, (list, tuple)) else [data]


def factory(name):
    def write(w, *values):
        *values, dtype, like = values
        if name == "arange":
            start, end, step = values
            values = [start] if end is None else [start, end] if same(step, 1) else values
        values = [value for value in values if value is not None]
        given = ", ".join(listed(value, w) for value in values)
        options = w(dtype) if like is None else f"{inside(w(like), 3)}.options().dtype({w(dtype)})"
        return Written(f"torch::{name}({given}, {options})")
    return Operator(f"{FACTORIES[name]} dtype=None like=None", write)


def tensor_of(w, data, dtype, like):
    """Of a number, or of lists of them in each other."""
    shape, inner, numbers = [], data, flattened(data)
    while isinstance(inner, (list, tuple)):
        shape, inner = [*shape, len(inner)], inner[0] if inner else None
    if dtype.is_floating_point:
        numbers = [float(number) if type(number) is int else number for number in numbers]
    values = ", ".join(map(w, numbers))
    if shape:
        values = f"std::vector<int64_t>{{{values}}}" if dtype in (torch.int64, torch.int32) else f"{{{values}}}"
    text = f"torch::tensor({values}, {inside(w(like), 3)}.options().dtype({w(dtype)}))"
    return Written(f"{text}.view({{{', '.join(map(str, shape))}}})" if len(shape) > 1 else text)


def bound(name, args, kwargs):
    """The arguments in the order of the operator's parameters, defaults included."""
    operator = OPERATORS[name]
    at = operator.varargs
    if at is not None and len(args) > at and not isinstance(args[at], (list, tuple)):
        args = (*args[:at], tuple(args[at:]))
    kwargs = {key: value for key, value in kwargs.items()
              if not (key in ("out", "_stacklevel", "memory_format", "dtype", "antialias", "device", "pin_memory",
                              "requires_grad") and not isinstance(value, torch.Tensor) and
                      value in (None, False, 3, torch.preserve_format))
              and not (key == "_stacklevel")}
    if "unbiased" in operator.signature.parameters and kwargs.get("correction") in (0, 1):
        kwargs["unbiased"] = bool(kwargs.pop("correction"))
    given = operator.signature.bind(*args, **kwargs)
    given.apply_defaults()
    return list(given.arguments.values())


def literal(value):
    """A constant of Python."""
    if isinstance(value, str) and isinstance(value, Expression):
        return Written(value, 3 if value.replace("_", "a").replace("()", "").isalnum() else 1)
    if isinstance(value, bool):
        return Written("true" if value else "false")
    if isinstance(value, int):
        return Written(str(value), 3 if value >= 0 else 2)
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            return Written(f"{'-' if value < 0 else ''}std::numeric_limits<double>::infinity()")
        text = repr(value)
        if text.endswith(".0"):
            text = text[:-2] + ".0"
        return Written(text, 3 if value >= 0 else 2)
    if value is None:
        return Written("std::nullopt")
    if isinstance(value, torch.dtype):
        names = {torch.float32: "kFloat", torch.float64: "kDouble", torch.int64: "kLong", torch.int32: "kInt",
                 torch.bool: "kBool", torch.float16: "kHalf", torch.bfloat16: "kBFloat16", torch.uint8: "kByte"}
        if value in names:
            return Written(f"torch::{names[value]}")
    if isinstance(value, torch.memory_format):
        names = {torch.channels_last: "ChannelsLast", torch.channels_last_3d: "ChannelsLast3d",
                 torch.contiguous_format: "Contiguous"}
        if value in names:
            return Written(f"torch::MemoryFormat::{names[value]}")
    if isinstance(value, str):
        return Written(f'"{value}"')
    raise ValueError(f"{value!r} in C++")


def is_in_place(x, key, value):
    """Whether x[key] = value writes what stands there already, as x[key] += 1 ends in Python."""
    if not isinstance(value, torch.Tensor) or value.untyped_storage().data_ptr() != x.untyped_storage().data_ptr():
        return False
    there = x[key]
    return (there.data_ptr(), there.shape, there.stride()) == (value.data_ptr(), value.shape, value.stride())


def listed(value, write):
    """A list of numbers or tensors, also where Python gives one number."""
    return f"{{{', '.join(write(inner) for inner in value)}}}" if isinstance(value, (list, tuple)) else write(value)


def pair(value, write, count=2):
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if any(inner is None for inner in values):
        raise ValueError("None among sizes")
    return listed(values, write)


def method(name, parameters, varargs=None, drop=True):
    """x.name(...), with the same arguments as in Python; what is left at its default at the end is left out."""
    words = parameters.split()
    defaults = [eval(word.partition("=")[2]) if "=" in word else inspect.Parameter.empty for word in words]

    def write(w, *values):
        values, left = list(values), list(defaults)
        while drop and values and left[-1] is not inspect.Parameter.empty and same(values[-1], left[-1]):
            values.pop()
            left.pop()
        return Written(f"{inside(w(values[0]), 3)}.{name}({', '.join(listed(v, w) for v in values[1:])})")
    return Operator(parameters, write, varargs)


def same(a, b):
    return not isinstance(a, (Node, Expression)) and type(a) is type(b) and a == b or a is None and b is None


def function(name, parameters, keep=1):
    """torch::name(...), as method() does it; the first `keep` arguments are always written."""
    written = method("", parameters)
    defaults = [p.default for p in written.signature.parameters.values()]

    def write(w, *values):
        values = list(values)
        while len(values) > keep and defaults[len(values) - 1] is not inspect.Parameter.empty and \
                same(values[-1], defaults[len(values) - 1]):
            values.pop()
        return Written(f"torch::{name}({', '.join(listed(v, w) for v in values)})")
    return Operator(parameters, write)


def infix(sign, strength, swapped=False, alpha=False):
    def write(w, a, b, *more):
        if more and not same(more[0], 1):
            return Written(f"torch::{'add' if sign == '+' else 'sub'}({w(a)}, {w(b)}, {w(more[0])})")
        a, b = (b, a) if swapped else (a, b)
        # a + (b - c) and a * (b / c) round otherwise without the parentheses.
        return Written(f"{inside(w(a), strength)} {sign} {inside(w(b), strength + 1)}", strength)
    return Operator("input other" + (" alpha=1" if alpha else ""), write)


def assignment(sign, name):
    def write(w, a, b, *more):
        if more and not same(more[0], 1):
            return Written(f"{inside(w(a), 3)}.{name}({w(b)}, {w(more[0])})")
        return Written(f"{w(a)} {sign} {w(b)}", 0)
    return Operator("input other alpha=1" if sign in ("+=", "-=") else "input other", write)


def converted(w, x, dtype, memory_format=torch.preserve_format):
    layout = "" if memory_format is torch.preserve_format else \
        f", /*non_blocking=*/false, /*copy=*/false, {w(memory_format)}"
    return Written(f"{inside(w(x), 3)}.to({w(dtype)}{layout})")


def size_of(w, x, dim):
    return Written(f"{inside(w(x), 3)}.size({w(dim)})")


def division(w, a, b, rounding_mode=None):
    if rounding_mode is not None:
        return Written(f"torch::div({w(a)}, {w(b)}, {w(rounding_mode)})")
    return Written(f"{inside(w(a), 2)} / {inside(w(b), 3)}", 2)


def index(w, key):
    """The argument of index()."""
    def one(value):
        if isinstance(value, slice):
            parts = [value.start, value.stop, value.step]
            while parts and parts[-1] is None:
                parts.pop()
            return f"Slice({', '.join('None' if part is None else w(part) for part in parts)})"
        if value is None:
            return "None"
        if value is Ellipsis:
            return "Ellipsis"
        return f"torch::tensor({w(value)}, torch::kLong)" if isinstance(value, list) else w(value)
    return f"{{{', '.join(map(one, key if isinstance(key, list) else [key]))}}}"


def get_item(w, x, key):
    if isinstance(key, int) and not isinstance(key, bool) or isinstance(key, Expression):
        return Written(f"{inside(w(x), 3)}[{w(key)}]")
    return Written(f"{inside(w(x), 3)}.index({index(w, key)})")


def dimensions(dim, w):
    """A list of them, where a number alone could be something else in C++."""
    return listed(dim if isinstance(dim, (list, tuple)) else [dim], w)


def set_item(w, x, key, value):
    return Written(f"{inside(w(x), 3)}.index_put_({index(w, key)}, {w(value)})")


def _define():
    both = OPERATORS
    for name, sign, strength in (("add", "+", 1), ("sub", "-", 1), ("mul", "*", 2), ("eq", "==", 0), ("ne", "!=", 0),
                                 ("gt", ">", 0), ("ge", ">=", 0), ("lt", "<", 0), ("le", "<=", 0)):
        alpha = name in ("add", "sub")
        for spelling in (name, f"__{name}__"):
            both[spelling] = infix(sign, strength, alpha=alpha)
        if strength:
            both[f"__r{name}__"] = infix(sign, strength, swapped=True)
            both[f"{name}_"] = both[f"__i{name}__"] = assignment(f"{sign}=", f"{name}_")
    both["rsub"] = both["__rsub__"]
    both["div_"] = both["__itruediv__"] = assignment("/=", "div_")
    both["div"] = both["true_divide"] = both["__truediv__"] = Operator("input other rounding_mode=None", division)
    both["reciprocal"] = method("reciprocal", "input")
    both["__rtruediv__"] = both["__rdiv__"] = Operator(
        "input other", lambda w, x, other: Written(f"{inside(w(x), 3)}.reciprocal() * {inside(w(other), 2)}", 2))
    both["__floordiv__"] = both["floor_divide"] = function("floor_divide", "input other")
    for sign in "+-*/%":  # of sizes
        both[sign] = infix(sign, 1 if sign in "+-" else 2)
    both["size"] = Operator("input dim", size_of)
    both["real"] = Operator("input", lambda w, x: Written(f"static_cast<double>({w(x)})"))  # of a size
    both["numel"] = method("numel", "input")
    both["matmul"] = both["__matmul__"] = function("matmul", "input other")
    for name in ("bmm", "mm"):
        both[name] = function(name, "input mat2")
    both["baddbmm"] = function("baddbmm", "input batch1 batch2 beta=1 alpha=1")
    both["neg"] = both["__neg__"] = Operator("input", lambda w, x: Written(f"-{inside(w(x), 3)}", 2))
    both["pow"] = both["__pow__"] = function("pow", "input exponent")
    for name in ("sigmoid", "tanh", "exp", "log", "log2", "log1p", "sqrt", "rsqrt", "abs", "sin", "cos", "square", "erf",
                 "floor", "ceil", "round", "sign", "detach", "t", "logical_not", "clone", "expm1",
                 "isnan", "sigmoid_", "tanh_", "exp_", "relu_", "atan", "acos", "asin", "tan", "cosh", "sinh", "squeeze_"):
        both[name] = method(name, "input")
    both["contiguous"] = method("contiguous", "input memory_format=None")
    both["T"] = method("t", "input")
    both["data"] = method("data", "input")
    both["mT"] = method("mT", "input")
    both["flatten"] = method("flatten", "input start_dim=0 end_dim=-1")
    for name in ("view", "reshape", "expand", "repeat", "permute", "tile"):
        both[name] = method(name, f"input {'dims' if name == 'permute' else 'shape'}", varargs=1)
    both["transpose"] = both["swapaxes"] = method("transpose", "input dim0 dim1")
    for name in ("view_as", "expand_as", "reshape_as", "logical_and", "logical_or", "maximum", "minimum"):
        both[name] = method(name, "input other")
    both["unsqueeze"] = method("unsqueeze", "input dim")
    both["squeeze"] = Operator("input dim=None", lambda w, x, dim: Written(
        f"{inside(w(x), 3)}.squeeze({'' if dim is None else listed(dim, w)})"))
    both["unflatten"] = method("unflatten", "input dim sizes")
    both["chunk"] = method("chunk", "input chunks dim=0")
    both["split"] = method("split", "input split_size_or_sections dim=0")
    both["unbind"] = method("unbind", "input dim=0")
    both["narrow"] = method("narrow", "input dim start length")
    both["select"] = method("select", "input dim index")
    both["index_select"] = method("index_select", "input dim index")
    both["gather"] = method("gather", "input dim index")
    both["roll"] = method("roll", "input shifts dims=()")
    both["flip"] = method("flip", "input dims", varargs=1)
    both["cumsum"] = method("cumsum", "input dim dtype=None")
    both["masked_fill"] = method("masked_fill", "input mask value")
    both["masked_fill_"] = method("masked_fill_", "input mask value")
    both["fill_"] = method("fill_", "input value")
    both["clamp"] = both["clip"] = method("clamp", "input min=None max=None")
    both["clamp_"] = both["clip_"] = method("clamp_", "input min=None max=None")
    both["clamp_min"] = method("clamp_min", "input min")
    both["clamp_max"] = method("clamp_max", "input max")
    both["softmax"] = method("softmax", "input dim dtype=None")
    both["log_softmax"] = method("log_softmax", "input dim dtype=None")
    for name in ("mean", "sum", "prod"):
        both[name] = method(name, "input dim=None keepdim=False dtype=None")
    both["var"] = Operator("input dim=None unbiased=True keepdim=False", lambda w, x, dim, unbiased, keepdim: Written(
        f"{inside(w(x), 3)}.var({'std::nullopt' if dim is None else dimensions(dim, w)}, {w(unbiased)}, {w(keepdim)})"))
    # Python's norm() is this, and LibTorch's another.
    both["norm"] = Operator("input p='fro' dim=None keepdim=False", lambda w, x, p, dim, keepdim: Written(
        f"torch::linalg_vector_norm({w(x)}, {w(2 if p == 'fro' else p)}, "
        f"{'std::nullopt' if dim is None else dimensions(dim, w)}, {w(keepdim)})"))
    for name in ("all", "any"):
        both[name] = method(name, "input dim=None keepdim=False")
    for name in ("amax", "amin"):
        both[name] = method(name, "input dim=() keepdim=False")
    both["argmax"] = method("argmax", "input dim=None keepdim=False")
    both["argmin"] = method("argmin", "input dim=None keepdim=False")
    both["logsumexp"] = method("logsumexp", "input dim keepdim=False")
    for name in ("max", "min"):
        both[name] = Operator("input dim=None keepdim=False", lambda w, x, dim, keepdim, name=name: Written(
            f"{inside(w(x), 3)}.{name}({'' if dim is None else w(dim)}"
            f"{', true' if dim is not None and keepdim else ''})"))
    both["cat"] = both["concat"] = both["concatenate"] = function("cat", "tensors dim=0")
    both["stack"] = function("stack", "tensors dim=0")
    both["meshgrid"] = Operator("tensors indexing='ij'", lambda w, tensors, indexing: Written(
        f"torch::meshgrid({listed(tensors, w)}, {w(indexing)})"), varargs=0)
    both["repeat_interleave"] = method("repeat_interleave", "input repeats dim=None")
    both["one_hot"] = function("one_hot", "input num_classes=-1")
    both["__invert__"] = both["bitwise_not"] = Operator("input", lambda w, x: Written(f"~{inside(w(x), 3)}", 2))
    both["__rpow__"] = Operator("input other", lambda w, x, other: Written(f"torch::pow({w(other)}, {w(x)})"))
    for name, sign in (("__and__", "&"), ("__or__", "|")):
        both[name] = Operator("input other", lambda w, x, other, sign=sign: Written(
            f"{inside(w(x), 1)} {sign} {inside(w(other), 1)}", 0))
    both["where"] = function("where", "condition input other", keep=3)
    both["addcmul"] = method("addcmul", "input tensor1 tensor2 value=1")
    both["addmm"] = function("addmm", "input mat1 mat2")
    for name in FACTORIES:
        both[name] = factory(name)
    both["tensor"] = Operator("data dtype=None like=None", tensor_of)
    both["to"] = Operator("input dtype memory_format=torch.preserve_format", converted)
    for name in ("std_mean", "var_mean"):
        both[name] = function(name, "input dim=None unbiased=True keepdim=False", keep=3)
    for name in ("std", "var"):
        both[name] = method(name, "input dim=None unbiased=True keepdim=False", drop=False)
    for name in ("addcmul", "addcdiv"):
        both[name] = function(name, "input tensor1 tensor2 value=1")
    both["aminmax"] = function("aminmax", "input dim=None keepdim=False")
    both["repeat_interleave"] = method("repeat_interleave", "input repeats dim=None")
    both["lerp"] = method("lerp", "input end weight")
    both["numbers"] = Operator("numbers shape dtype", lambda w, numbers, shape, dtype: Written(
        f"torch::tensor({w(numbers)}, {w(dtype)})" + ("" if shape is None else f".view({listed(shape, w)})")))
    for name in ("zeros_like", "ones_like", "rand_like", "randn_like"):
        both[name] = function(name, "input dtype=None")
    for name in ("new_zeros", "new_ones", "new_empty"):
        both[name] = method(name, "input size", varargs=1)
    both["new_full"] = method("new_full", "input size fill_value")
    both["bernoulli_"] = method("bernoulli_", "input p=0.5", drop=False)
    for name in ("floor_", "zero_"):
        both[name] = method(name, "input")
    both["meshgrid"] = Operator("tensors indexing='ij'", lambda w, tensors, indexing: Written(
        f"torch::meshgrid({listed(tensors, w)}, {w(indexing)})"), varargs=0)
    both["einsum"] = Operator("equation operands", lambda w, equation, operands: Written(
        f"torch::einsum({w(equation)}, {listed(operands, w)})"), varargs=1)
    both["__getitem__"] = Operator("input key", get_item)
    both["__setitem__"] = Operator("input key value", set_item)


_define()
