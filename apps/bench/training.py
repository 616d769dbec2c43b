"""A training step in C++ against Python, in processes of their own, interleaved: training.py BENCH_WORKER

ResNet-18 with ten classes on eight images of 64 x 64: forward, cross entropy, backward, SGD with momentum. One thread,
CPU time. The losses have to be equal, bit for bit."""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import install
from measure import PEER_PROCESS
from side import Side, interleaved
from workloads import SEED, build


def write_files(folder: Path) -> dict[str, str]:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    save_file(build("resnet18_10").state_dict(), folder / "weights.safetensors")
    save_file({"x": torch.randn(8, 3, 64, 64), "target": torch.randint(10, [8])}, folder / "input.safetensors")
    return {"weights": str(folder / "weights.safetensors"), "input": str(folder / "input.safetensors")}


def measure(worker: Path, layout: str, rounds: int, files: dict[str, str], folder: Path) -> bool:
    """Whether the losses are equal."""
    sides = {"C++": Side([worker], 1, folder / "cpp.log"),
             "Python": Side([install.python(), PEER_PROCESS], 1, folder / "python.log")}
    request: dict[str, Any] = {"do": "train", "workload": "resnet18_10", "threads": 1, "steps": 2} | files
    variants = {"C++": "plain" + layout, "Python": "eager" + layout}
    try:
        started = {name: side.ask(**request | {"variant": variants[name]}) for name, side in sides.items()}
        answers, failed = interleaved(sides, rounds, {name: {"do": "train", "steps": 3} for name in sides},
                                      f"training{layout}")
    finally:
        for side in sides.values():
            side.close()
    if failed:
        raise SystemExit(f"training.py: {failed}")
    losses = {name: [loss for answer in [started[name], *answers[name]] for loss in answer["losses"]] for name in sides}
    times = {name: [time for answer in answers[name] for time in answer["ms"]] for name in sides}
    equal = losses["C++"] == losses["Python"]
    numbers = []
    for of in (statistics.median, min):
        ours, theirs = of(times["C++"]), of(times["Python"])
        numbers.append(f"{ours:9.2f} {theirs:9.2f} {theirs / ours:7.3f}")
    print(f"{layout.strip() or 'contiguous':16} {'   '.join(numbers)}   {len(losses['C++'])} losses "
          f"{'equal' if equal else 'DIFFERENT'}, {losses['C++'][0]:.4f} to {losses['C++'][-1]:.4f}", flush=True)
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worker", type=Path, metavar="BENCH_WORKER")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_files(folder)
        print("a training step of ResNet-18 on [8, 3, 64, 64]; milliseconds of CPU time, interleaved, one thread\n")
        print(f"{'':16} {'median of':>9} {'':9} {'faster':>7}   {'best of':>9} {'':9} {'faster':>7}")
        print(f"{'':16} {'C++':>9} {'Python':>9} {'by':>7}   {'C++':>9} {'Python':>9} {'by':>7}")
        equal = [measure(given.worker, layout, given.rounds, files, folder) for layout in ("", " channels_last")]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
