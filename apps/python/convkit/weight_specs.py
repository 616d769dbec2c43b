"""The parameters and buffers that a module itself has."""

import math

import torch

from .operators import literal

LONGEST = 4096  # of the lists of numbers that stand in a page


def shortest(number, dtype):
    """The number with as few digits as give the same one of this type."""
    if dtype != torch.float32 or not math.isfinite(number):
        return number
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if torch.tensor(short, dtype=dtype).item() == number:
            return short
    return number


class Weight:
    def __init__(self, name, tensor, is_parameter, persistent, program=None):
        self.name, self.is_parameter, self.persistent = name, is_parameter, persistent
        self.requires_grad = tensor.requires_grad
        self.dtype = tensor.dtype
        first = tensor.flatten()[:1]
        self.is_plain = tensor.numel() > 0 and bool((tensor == first).all())
        fill = shortest(first.item(), self.dtype) if self.is_plain else 0
        self.numbers = None
        if not self.is_plain and not persistent:
            self.numbers = [shortest(number, self.dtype) for number in tensor.flatten().tolist()]
        self.values = [*tensor.shape, fill]
        self.hints = [f"{name}_size"] * tensor.dim() + [f"{name}_value"]
        self.key = ("weight", name, tensor.dim(), is_parameter, persistent, str(tensor.dtype), self.requires_grad,
                    tuple(self.numbers or ()))
        # A buffer of which it is known how the constructor computes it has a function for that.
        self.program = None if self.is_plain else program
        if self.program is not None:
            self.numbers = None
            self.values = self.program.numbers()
            self.hints = [f"{name}_number"] * len(self.values)
            self.key = ("weight", name, persistent, self.program.structure())

    def write(self, values):
        """C++ that registers it."""
        if self.program is not None:
            return f'{self.register()}("{self.name}", make_{self.name}())'
        *shape, fill = values
        sizes = f"{{{', '.join(map(literal, shape))}}}"
        options = "" if self.dtype == torch.float32 else f", {literal(self.dtype)}"
        if self.numbers is not None:
            tensor = f"torch::tensor({{{', '.join(map(literal, self.numbers))}}}{options}).view({sizes})"
        elif not isinstance(fill, str) and fill in (0, 1):
            tensor = f"torch::{'ones' if fill else 'zeros'}({sizes}{options})"
        else:
            tensor = f"torch::full({sizes}, {literal(fill)}{options})"
        if self.is_parameter:
            fixed = "" if self.requires_grad else ", /*requires_grad=*/false"
            return f'register_parameter("{self.name}", {tensor}{fixed})'
        return f'{self.register()}("{self.name}", {tensor})'

    def register(self):
        return "register_buffer" if self.persistent else "register_non_persistent_buffer"


def weights_of(m, specs):
    if id(m) in specs.weights:
        return specs.weights[id(m)]
    found = specs.weights[id(m)] = []
    for name, tensor in m._parameters.items():
        if tensor is not None:
            found.append(Weight(name, tensor, True, True))
    for name, tensor in m._buffers.items():
        if tensor is not None:
            found.append(Weight(name, tensor, False, name not in m._non_persistent_buffers_set,
                                specs.origins.program(tensor)))
    for name, (tensor, _) in specs.constants.get(id(m), {}).items():
        found.append(Weight(name, tensor, False, False, specs.origins.program(tensor)))
    for weight in found:
        if weight.dtype not in (torch.float32, torch.float64, torch.int64, torch.int32, torch.bool,
                                torch.float16, torch.bfloat16):
            specs.refuse(m, f"'{weight.name}' of {weight.dtype}")
        if weight.numbers is not None and len(weight.numbers) > LONGEST:
            specs.refuse(m, f"the tensor '{weight.name}' of {len(weight.numbers)} numbers, which is in no state_dict: "
                            "C++ cannot know them")
    return found
