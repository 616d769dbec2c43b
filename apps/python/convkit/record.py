"""Records what a Python module computes, for `convkit compare`.

Example: python -m convkit.record torchvision.models:resnet18 --input 1,3,224,224 -o resnet18.safetensors

MODULE:CALLABLE names what makes the module: a Python module, or a .py file, and a class or function in it. Its
weights, and the inputs and outputs of every module in it, go into a .safetensors file:

    state_dict/KEY              the weights
    input/PATH#CALL/NAME        what a module was given; of the module itself PATH is empty, calls count from 0
    output/PATH#CALL            what it gave; with /NAME where it gave several tensors
    train/...                   with --train: of one training step the output, gradients and buffers
    steps/...                   with --steps N: of a training of N steps the inputs, targets and losses, a hash of each
                                tensor after each step, and the tensors after every tenth and the last

An INPUT is random, of these sizes and the dtype of the first parameter; 1,16:1000 gives whole numbers below 1000
instead, of int64. Or it is what a file holds, as it is: FILE.npy; FILE.safetensors, whose tensors are the inputs in the
order of their names, where 2 comes before 10; FILE.safetensors:NAME. What a sound gives the module is yours to save so.
--image FILE --preset resnet18 is what torchvision's preset for these weights makes of an image; timm's networks have one
too. It needs torchvision and Pillow.

A fresh network is nearly dead in eval mode. So norms and biases that are one number all over get other values, drawn
from the seed, and batch norms the running statistics of the input. What the constructor loads with load_state_dict, or
gives different numbers, stays as it is, unless --fresh says otherwise; --as-is and --weights leave everything. Lines on
stderr name layers whose outputs prove nothing, and those with weights that were never called.
Needs torch, safetensors and numpy. Exits with 2, and one line on stderr, for a wrong argument.
"""

import json
import os
import sys

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from . import images
from .calls import Recorder, copied, dtype_of, forward, record_training, unproven, weights_of
from .inputs import drawn, read_files
from .making import make
from .options import arguments, fail, program
from .steps import optimizer_of, options_of, record_steps
from .weights import hashed, load, settle, tensors_of, watched_loading


def save(tensors, metadata, file):
    partial = file + ".partial"
    try:
        save_file(tensors, partial, metadata)
        os.replace(partial, file)
    except (OSError, SafetensorError) as error:
        fail("-o/--output", "a file that can be written", f"{file}: {error}")
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def record(given, larger=None):
    """Writes the recording that the arguments ask for, and returns what to say of it. `larger` makes other inputs of
    the given ones, whose calls are recorded after theirs."""
    torch.set_num_threads(given.threads)
    # Now, not after a long constructor.
    sources = [images.prepared(given.image, given.preset)] if given.image else read_files(given.inputs)
    torch.manual_seed(given.seed)
    with watched_loading() as written:
        module = make(given.callable, given.kwargs)
    weights = weights_of(module)
    loaded = {key for key, value in tensors_of(module).items() if id(value) in written and key in weights}
    # The seed makes no other tensors again.
    fresh = {key: hashed(value) for key, value in weights.items() if key not in loaded}
    left_out = sorted(module.state_dict().keys() - weights.keys())
    notes = [f"left out {key} of the state_dict: no tensor" for key in left_out]
    inputs = drawn(sources, dtype_of(module))
    if given.weights is not None:
        load(module, given.weights)
    elif not given.as_is:
        kept = settle(module, inputs, sources, loaded, given.fresh)
        if kept:
            notes.append(f"kept {len(kept)} of {len(weights)} tensors, which the constructor loaded or set; --fresh "
                         "gives the norms and biases among them other values")
    if given.channels_last:
        module.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]

    module.eval()
    tensors = {f"state_dict/{key}": copied(value) for key, value in weights_of(module).items()}
    recorder = Recorder(module)
    with torch.no_grad():
        forward(module, [x.clone() for x in inputs])
        if larger is not None:
            forward(module, larger(inputs))
    recorder.close()
    notes += unproven(module, recorder)
    tensors |= recorder.tensors
    if given.train:
        tensors |= record_training(module, inputs, given.seed)
    steps = {}
    if given.steps:
        optimizer = optimizer_of(module, given)
        steps = {"steps": {"count": given.steps, "optimizer": type(optimizer).__name__, "options": options_of(optimizer)}}
        start = {key.removeprefix("state_dict/"): value for key, value in tensors.items() if key.startswith("state_dict/")}
        recorded, said = record_steps(module, optimizer, start, inputs, sources, given)
        tensors |= recorded
        notes += said

    paths = [path for path, _ in module.named_modules()]
    recording = {
        "version": 1, "torch": str(torch.__version__), "source": given.callable, "kwargs": given.kwargs,
        "seed": given.seed, "threads": given.threads, "cpu": torch.backends.cpu.get_cpu_capability(),
        "memory_format": "channels_last" if given.channels_last else "contiguous",
        "classes": {path: type(part).__name__ for path, part in module.named_modules()},
        "calls": recorder.calls, "never_called": [path for path in paths if path not in recorder.counts],
        "strides": recorder.strides, "outputs": recorder.outputs, "fresh": fresh, **steps,
    }
    save(tensors, {"recording": json.dumps(recording)}, given.output)
    return notes, f"{len(recorder.calls)} calls of {len(paths)} modules, {len(tensors)} tensors"


def main():
    given = arguments(__doc__)
    notes, counts = record(given)
    for note in notes:
        print(f"{program()}: {note}", file=sys.stderr)
    print(f"{given.output}: {counts}")


if __name__ == "__main__":
    main()
