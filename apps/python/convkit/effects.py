"""What operators do beside giving a value: they overwrite an argument, or draw random numbers."""

from .operators import OPERATORS

ASSIGNING = {"add_", "sub_", "mul_", "div_", "__iadd__", "__isub__", "__imul__", "__itruediv__"}
RANDOM = {"rand", "randn", "rand_like", "randn_like", "dropout", "alpha_dropout", "feature_alpha_dropout"}


def is_inplace(node):
    """Whether it is a function whose option says that it overwrites its input."""
    return node.kind == "op" and node.args and node.args[-1] is True and node.target in OPERATORS and \
        "inplace" in OPERATORS[node.target].signature.parameters


def is_pure(node):
    return node.kind in ("item", "weight", "list") or node.kind == "op" and not (
        node.target in RANDOM or node.target == "__setitem__" or node.target.endswith("_") and node.target[:2] != "__"
        or node.target in ASSIGNING or is_inplace(node))


def overwrites(node):
    """Whether it writes into its first argument, and gives that."""
    return node.kind == "op" and (node.target in ASSIGNING or node.target != "relu" and is_inplace(node))
