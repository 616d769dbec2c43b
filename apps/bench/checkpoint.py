"""Checkpoints, side by side with Python in one run: checkpoint.py CHECKPOINT_COST [MEGABYTES]"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def timed(work):
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    del result
    return seconds


def read(path):
    state = load_file(path)
    for tensor in state.values():
        tensor.view(torch.uint8).view(-1)[::4096].sum()
    return state


def flushed(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Ours:
    def __init__(self, binary):
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *command):
        self.process.stdin.write(" ".join(map(str, command)) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def row(what, ours, theirs, repetitions):
    pairs = [(ours(), theirs()) for _ in range(repetitions)]
    numbers = []
    for of in (statistics.median, min):
        one, other = (1e3 * of(side) for side in zip(*pairs))
        numbers.append(f"{one:9.2f} {other:9.2f} {other / one:6.2f}")
    print(f"{what:38} {'   '.join(numbers)}", flush=True)


def saves(what, ours, state, file, folder):
    copy, other = folder / "copy.safetensors", folder / "other.safetensors"

    def python():
        seconds = timed(lambda: save_file(state, other))
        return seconds + timed(lambda: flushed(other))

    row(what, lambda: ours("save", file, copy), python, 21)
    assert copy.read_bytes() == other.read_bytes() == file.read_bytes()


def main():
    ours = Ours(sys.argv[1])
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "file.safetensors"
        # The sizes of a network's weights: many small ones, some large.
        state, left = {}, megabytes * 1000 * 1000 // 4
        while left > 0:
            for size in (64, 64, 64, 64, 36864, 147456, 589824, 2359296):
                if left > 0:
                    state[f"layer{len(state)}"] = torch.randn(min(size, left))
                    left -= size
        save_file(state, file)
        flushed(file)
        print(f"{len(state)} tensors, {file.stat().st_size / 1e6:.0f} MB; milliseconds, interleaved, one thread\n")
        print(f"{'':38} {'median of':>9} {'':9} {'faster':>6}   {'best of':>9} {'':9} {'faster':>6}")
        print(f"{'':38} {'convkit':>9} {'Python':>9} {'by':>6}   {'convkit':>9} {'Python':>9} {'by':>6}")
        row("load .safetensors", lambda: ours("load", file), lambda: timed(lambda: load_file(file)), 51)
        pt = Path(name) / "file.pt"
        torch.save(state, pt)
        flushed(pt)
        row("load .pt, Python's with mmap=True", lambda: ours("load", pt),
            lambda: timed(lambda: torch.load(pt, mmap=True, weights_only=True)), 51)
        pt.unlink()
        row("load .safetensors, touch every page", lambda: ours("read", file), lambda: timed(lambda: read(file)), 21)
        saves("save and flush, on this disk", ours, state, file, Path(name))
        memory = Path("/dev/shm")
        if memory.is_dir() and shutil.disk_usage(memory).free > 3e6 * megabytes:
            with tempfile.TemporaryDirectory(dir=memory) as in_memory:
                saves("save and flush, in memory (tmpfs)", ours, state, file, Path(in_memory))
        fresh = Ours(sys.argv[1])
        print(f"\nprivate memory that a load adds, untouched  {fresh('memory', file) / 1e6:.1f} MB")
        print(f"load_state_dict over memcpy                 {fresh('load_state_dict', file):.2f}")


if __name__ == "__main__":
    main()
