"""Trainings from files to weights in C++ and in Python, in processes that take turns: epochs.py TRAIN [THREADS...]

Python's loop is the one of apps/train/train_test.py: a DataLoader on ImageFolder with two workers, as train has. An
epoch of training is timed, without the validation, but for a process's first. The losses have to be equal, bit for bit.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "train"))
import train_test

import torch

ROUNDS, EPOCHS = 3, 3
# Images, network, batch size, learning rate, optimizer, augmentation.
ROWS = {
    "digits, resnet18": ("digits", "resnet18", 32, 0.02, "sgd", "none"),
    "digits, shufflenet_v2_x0_5": ("digits", "shufflenet_v2_x0_5", 32, 0.02, "sgd", "none"),
    "digits, mobilenet_v3_small, AdamW": ("digits", "mobilenet_v3_small", 32, 1e-3, "adamw", "none"),
    "photographs, squeezenet1_1": ("photographs", "squeezenet1_1", 16, 1e-3, "sgd", "crop"),
    "photographs, resnet18": ("photographs", "resnet18", 16, 0.02, "sgd", "crop"),
}


def in_python(folder, row):
    """A process of Python's: its losses, and the seconds of its epochs."""
    images, model, batch_size, lr, optimizer, augment = ROWS[row]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    seconds = []
    lines, *_ = train_test.train_in_python(Path(folder) / images, model, EPOCHS, batch_size, lr, optimizer, augment,
                                           seconds=seconds)
    print(json.dumps({"losses": [line["loss"] for line in lines if "val_loss" in line], "seconds": seconds[1:]}))


def in_cpp(train, folder, row, output):
    images, model, batch_size, lr, optimizer, augment = ROWS[row]
    sizes = train_test.SMALL if augment == "crop" else train_test.SMALL[:2]
    lines = train_test.lines_of(train_test.run(
        train, folder / images, "--model", model, "--epochs", EPOCHS, "--batch-size", batch_size, "--lr", lr, "--optimizer",
        optimizer, "--augment", augment, *sizes, "--threads", os.environ["OMP_NUM_THREADS"], "--output", output, "--json").stdout)
    count = sum(1 for _ in (folder / images / "train").rglob("*.*"))
    return {"losses": [line["loss"] for line in lines], "waited": [line["waited"] for line in lines[1:]],
            "seconds": [count / line["images_per_second"] for line in lines[1:]]}


def measure(train, folder, row):
    cpp, python = [], []
    for turn in range(ROUNDS):
        cpp.append(in_cpp(train, folder, row, folder / f"{row} {turn} {os.environ['OMP_NUM_THREADS']}"))
        theirs = subprocess.run([sys.executable, __file__, "--python", folder, row], check=True, capture_output=True, text=True)
        python.append(json.loads(theirs.stdout))
    equal = all(answer["losses"] == cpp[0]["losses"] for answer in cpp + python)
    ours, theirs = (statistics.median(second for answer in answers for second in answer["seconds"]) for answers in (cpp, python))
    waited = statistics.median(part for answer in cpp for part in answer["waited"])
    print(f"{row:36} {theirs:8.2f} {ours:8.2f} {theirs / ours:6.2f}   waited {waited:.3f}   "
          f"losses {'equal' if equal else 'DIFFERENT'}", flush=True)
    return equal


def main():
    if sys.argv[1] == "--python":
        return in_python(*sys.argv[2:]) or True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train_test.digits(folder / "digits", 320, 32)
        train_test.photographs(folder / "photographs")
        equal = True
        for threads in sys.argv[2:] or ("1", "2"):
            os.environ["OMP_NUM_THREADS"] = threads
            print(f"{threads} thread(s), seconds of an epoch: Python, C++, Python / C++; what part C++ waited for images")
            for row in ROWS:
                equal = measure(sys.argv[1], folder, row) and equal
    return equal


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
