"""Sizes of tensors that know where they come from."""

from .graph import Node


class Size(int):
    """A size of a tensor, or what was computed of sizes."""

    def __new__(cls, value, node, context):
        size = super().__new__(cls, value)
        size.node, size.context = node, context
        return size

    def __hash__(self):  # of a cache it takes nothing that another module put there
        return hash((int.__int__(self), id(self.context)))

    def __bool__(self):
        return self != 0

    def __pos__(self):
        return self

    def __int__(self):
        return int.__int__(self)  # what torch is called with

    def __float__(self):
        number = int.__float__(self)  # float() gives this very object
        self.context.floats[id(number)] = (number, self)
        return number


class Quotient(float):
    """A size divided by another number, which knows what its whole part is."""

    def __new__(cls, value, size, divisor):
        quotient = super().__new__(cls, value)
        quotient.size, quotient.divisor = size, divisor
        return quotient

    def __floor__(self):
        return self.size // self.divisor

    def __ceil__(self):
        return (self.size + (self.divisor - 1)) // self.divisor


def _divided(self, other):
    quotient = int.__truediv__(self, other)
    if type(other) is int and other > 0 or isinstance(other, Size):
        return Quotient(quotient, self, other)
    return quotient


Size.__truediv__ = _divided


def _may_be_negative(node):
    if not isinstance(node, Node):
        return False
    if node.target == "-":
        least, rest = node.args
        modulus = rest.args[1] if isinstance(rest, Node) and rest.target == "%" else None
        return not (isinstance(least, int) and isinstance(modulus, int) and 0 < modulus <= least)
    return node.kind == "op" and any(map(_may_be_negative, node.args))


def _arithmetic(name, sign, swapped):
    plain = getattr(int, name)

    def method(self, other):
        result = plain(self, other)
        if result is NotImplemented or not isinstance(other, int) or isinstance(other, bool):
            return result
        context = self.context
        if sign in "/%":  # C++ rounds towards zero
            for value in (self, other):
                if isinstance(value, Size) and _may_be_negative(value.node) or not isinstance(value, Size) and value < 0:
                    if not value >= 0:
                        context.refuse("a division of a negative size")
        args = [other, self] if swapped else [self, other]
        return Size(result, context.add(Node("op", sign, [context.of(arg) for arg in args], "int64_t")), context)
    setattr(Size, name, method)


def _comparison(name, sign, opposite):
    plain = getattr(int, name)

    def method(self, other):
        result = plain(self, other)
        if result is NotImplemented or not isinstance(other, int):
            return result
        context = self.context
        if context.closed:
            return result
        context.graph.decisions.append(result)
        args = [context.of(self), context.of(other)]
        context.add(Node("check", sign if result else opposite, args, "void", context.line()))
        return result
    setattr(Size, name, method)


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("floordiv", "/"), ("mod", "%")):
    _arithmetic(f"__{_name}__", _sign, False)
    _arithmetic(f"__r{_name}__", _sign, True)
for _name, _sign, _opposite in (("eq", "==", "!="), ("ne", "!=", "=="), ("lt", "<", ">="), ("ge", ">=", "<"),
                                ("gt", ">", "<="), ("le", "<=", ">")):
    _comparison(f"__{_name}__", _sign, _opposite)


def plain(value):
    """Without what only the trace knows."""
    if isinstance(value, Size):
        return int.__int__(value) + 0
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, slice):
        return slice(plain(value.start), plain(value.stop), plain(value.step))
    return value
