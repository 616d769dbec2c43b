"""Steps of optimizers on ResNet-18's parameters, in C++ and in Python: optimizers.py OPTIM_COST [THREADS [NAME...]]

The two take turns, and the medians of 15 steps are compared.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, what a torchvision for CUDA needs
import torchvision

NAMES = ("SGD", "SGD fused", "Adam", "Adam fused", "AdamW", "AdamW fused", "RMSprop", "Adagrad", "Adagrad fused", "NAdam", "RAdam")


def main():
    threads = sys.argv[2] if len(sys.argv) > 2 else "1"
    torch.set_num_threads(int(threads))
    params = list(torchvision.models.resnet18().parameters())
    for p in params:
        p.grad = torch.randn_like(p)
    worker = subprocess.Popen([sys.argv[1], threads], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(f"{threads} thread(s), milliseconds a step: Python, C++, Python / C++")
    for name in sys.argv[3:] or NAMES:
        kind, _, fused = name.partition(" ")
        more = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(torch.optim, kind)(params, **more, **({"fused": True} if fused else {}))
        times = {"python": [], "c++": []}
        for round in range(18):
            start = time.perf_counter()
            optimizer.step()
            python = time.perf_counter() - start
            worker.stdin.write(name + "\n")
            worker.stdin.flush()
            ours = float(worker.stdout.readline())
            if round >= 3:
                times["python"].append(python)
                times["c++"].append(ours)
        python, ours = (statistics.median(values) * 1e3 for values in times.values())
        print(f"{name:14} {python:8.2f} {ours:8.2f} {python / ours:6.2f}", flush=True)
    worker.stdin.close()


if __name__ == "__main__":
    main()
