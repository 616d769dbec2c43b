"""A training of several steps, as `convkit compare` runs it again."""

import functools
import operator

import torch

from .calls import copied, trained_outputs, weights_of
from .inputs import Random, random
from .options import fail
from .weights import hashed

RECORDED_EVERY = 10


def optimizer_of(module, given):
    """Of torch.optim, as the arguments name it."""
    name, kwargs = given.optimizer or "SGD", given.optim_kwargs or {}
    try:
        optimizer = getattr(torch.optim, name)(module.parameters(), **kwargs)
    except (TypeError, ValueError, RuntimeError) as error:
        fail("--optim-kwargs", f"what {name} takes", f"{kwargs}: {error}")
    for option in "capturable", "differentiable", "foreach":
        if optimizer.defaults.get(option):
            fail("--optim-kwargs", f"no {option}, which C++ does not have", kwargs)
    return optimizer


def options_of(optimizer):
    return {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}


def record_steps(module, optimizer, start, inputs, sources, given):
    """Of a training that begins with the weights `start`: its tensors, and what to say of it. The loss is the sum of
    mse_loss(output, target) over the outputs. Random inputs are others in each step, and so are all targets."""
    with torch.no_grad():
        for key, value in weights_of(module).items():
            value.copy_(start[key])
    module.train()
    tensors, losses, hashes = {}, [], {}
    for step in range(1, given.steps + 1):
        # Numbers of their own for each, so that nobody has to draw the inputs again.
        torch.manual_seed((given.seed + 1 + step) % 2**64)
        if step > 1:
            inputs = [random(source, x.dtype) if isinstance(source, Random) else x for x, source in zip(inputs, sources)]
        if given.channels_last:
            inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
        tensors |= {f"steps/input/{step}/{i}": copied(x) for i, x in enumerate(inputs)}
        optimizer.zero_grad()
        torch.manual_seed((given.seed + 1 + step) % 2**64)
        outputs = trained_outputs(module, inputs, "--steps")
        if any(y.is_complex() for y in outputs):
            fail("--steps", "outputs of real numbers", ", ".join(str(y.dtype) for y in outputs))
        targets = [torch.randn(y.shape, dtype=y.dtype) for y in outputs]
        tensors |= {f"steps/target/{step}/{i}": target for i, target in enumerate(targets)}
        # In their order: sums of more than two depend on it.
        loss = functools.reduce(operator.add, map(torch.nn.functional.mse_loss, outputs, targets))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        weights = weights_of(module)
        for key, value in weights.items():
            hashes.setdefault(key, []).append(hashed(value))
        if step % RECORDED_EVERY == 0 or step == given.steps:
            tensors |= {f"steps/state/{step}/{key}": copied(value) for key, value in weights.items()}
    tensors["steps/loss"] = torch.stack(losses)
    tensors |= {f"steps/hash/{key}": torch.tensor(values) for key, values in hashes.items()}
    return tensors, list(unproven_steps(module, tensors, start))


def unproven_steps(module, tensors, start):
    """Says of what the training proves nothing."""
    losses = tensors["steps/loss"]
    wild = (~losses.isfinite()).nonzero().flatten()
    if len(wild):
        yield f"the loss is not finite from step {wild[0].item() + 1} on; give another --optim-kwargs, with a smaller lr"
    trained = [key for key, parameter in module.named_parameters() if parameter.requires_grad]
    weights = weights_of(module)
    if all(torch.equal(weights[key], start[key]) for key in trained):
        yield "no weight changed in the training, which proves nothing; give another --optim-kwargs"
