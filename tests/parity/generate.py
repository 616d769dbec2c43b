"""Runs every parity case in Python and writes what it gave: generate.py FILE

One process, one thread. FILE is a .safetensors file, whose metadata "reference" is JSON: a list of
dicts for each kind of test, "cases" (see record()), "calls" (functions.py), "loads" and "keys" (loads.py).
A tensor stands in it as the name under which the file has it.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file

import modules
from cases import cases
from functions import calls
from loads import keys, loads


def photo(dtype):
    """Part of a photograph, normalised: [1, 3, 97, 131]."""
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("china.jpg"))[120:217, 200:331]
    image = image.permute(2, 0, 1).unsqueeze(0).to(dtype) / 255
    return ((image - 0.45) / 0.225).contiguous()


def tensors(module):
    return [value.detach().clone() for value in module.state_dict().values()]


def randomise(module):
    """Fresh batch norms are nearly the identity: give every tensor a value of its own."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.is_floating_point():
                value.add_(torch.randn_like(value), alpha=0.2)
            else:
                value.fill_(7)


def record(case, seed):
    dtype = getattr(torch, case.dtype)
    torch.manual_seed(seed)
    module = getattr(modules, case.module)(**case.options)
    result = {
        "name": case.name, "module": case.module, "seed": seed, "dtype": case.dtype,
        "channels_last": case.channels_last, "options": case.options,
        "keys": list(module.state_dict().keys()),
        "initial": tensors(module),
    }
    module.to(dtype)
    randomise(module)
    x = photo(dtype) if case.input == "photo" else torch.randn(case.input).to(dtype)
    if case.channels_last:
        x = x.to(memory_format=torch.channels_last)
    result["state"] = tensors(module)
    result["input"] = x.clone()

    module.eval()
    with torch.no_grad():
        result["eval_output"] = module(x.clone()).clone()

    module.train()
    torch.manual_seed(seed + 1000)  # for what draws in forward
    x.requires_grad_()
    y = module(x.clone())  # for what writes to its input
    gradient = torch.randn(y.shape).to(dtype)
    y.backward(gradient)
    result["gradient"] = gradient
    result["train_output"] = y.detach().clone()
    result["input_gradient"] = x.grad.clone()
    result["parameter_gradients"] = [p.grad.clone() for p in module.parameters()]
    result["trained_once"] = tensors(module)

    if not result["parameter_gradients"]:
        return result
    x = x.detach()
    torch.manual_seed(seed + 2000)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        (module(x.clone()) * gradient).mean().backward()
        optimizer.step()
    result["after_sgd"] = tensors(module)
    return result


def without_tensors(value, path, tensors):
    """`value` with names in place of its tensors, which `tensors` gets, contiguous."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().clone(memory_format=torch.contiguous_format)
        return path
    if isinstance(value, dict):
        return {key: without_tensors(inner, f"{path}/{key}", tensors) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_tensors(inner, f"{path}/{i}", tensors) for i, inner in enumerate(value)]
    return value


def main():
    torch.set_num_threads(1)
    recorded = [record(case, seed) for seed, case in enumerate(cases())]
    called = list(calls(photo(torch.float32)))
    file = sys.argv[1]
    written = {"torch": str(torch.__version__), "cases": recorded, "calls": called,
               "loads": list(loads()), "keys": list(keys())}
    tensors = {}
    reference = json.dumps(without_tensors(written, "", tensors))
    save_file(tensors, file + ".partial", {"reference": reference})
    os.replace(file + ".partial", file)
    print(f"{len(recorded)} cases and {len(called)} calls by torch {torch.__version__} in {file}")


if __name__ == "__main__":
    main()
