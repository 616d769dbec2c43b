"""How the cost grows with the batch and with the image: `peers.py --growth`."""

from collections.abc import Callable, Sequence
from typing import Any

import chart
import report
import workloads
from measure import Config
from workloads import OURS, PLAIN

NETWORKS = ["mobilenet_v2", "resnet18"]
SIDES = [OURS, PLAIN, "ONNX Runtime"]
BATCHES = [1, 2, 4, 8, 16, 32]
SIZES = [64, 96, 128, 192, 256, 384, 512]


def configs(threads: Sequence[int], networks: Sequence[str] = NETWORKS, batches: Sequence[int] = BATCHES,
            sizes: Sequence[int] = SIZES) -> list[Config]:
    found = [Config(f"{network}@224", batch, count) for count in threads for network in networks for batch in batches]
    found += [Config(f"{network}@{size}", 1, count) for count in threads for network in networks for size in sizes]
    return list(dict.fromkeys(found))


def select(results: list[dict[str, Any]], network: str, threads: int, along: str) -> list[tuple[int, dict[str, Any]]]:
    """Along "batch" at 224 pixels, along "size" at batch 1."""
    found = []
    for result in results:
        name, size = workloads.split(result["workload"])
        fixed = size == 224 if along == "batch" else result["batch"] == 1
        if name == network and result["threads"] == threads and fixed:
            found.append((result["batch"] if along == "batch" else size, result))
    return sorted(found, key=lambda pair: pair[0])


def rows(found: list[tuple[int, dict[str, Any]]], sides: list[str],
         what: Callable[[dict[str, Any]], str]) -> list[list[str]]:
    return [[name] + [what(result["peers"][name]) if name in result["peers"] else "-" for _, result in found]
            for name in sides]


def write(machine: str, results: list[dict[str, Any]]) -> tuple[str, dict[int, str]]:
    """The tables, and a chart for each number of threads."""
    parts, charts = ["# How the cost of compile() grows\n", machine + "\n"], {}
    names = {workloads.split(result["workload"])[0] for result in results}
    measured = {name for result in results for name in result["peers"]}
    sides = [name for name in SIDES if name in measured]
    for threads in sorted({result["threads"] for result in results}):
        panels = []
        for network in (name for name in workloads.WORKLOADS if name in names):
            for along, unit in (("batch", "images, of 224 x 224"), ("size", "pixels along a side, one image")):
                found = select(results, network, threads, along)
                if len(found) < 2:
                    continue
                title = f"{workloads.WORKLOADS[network].title}, by {along}"
                panels.append(chart.Lines(title, unit, [
                    [(at, result["peers"][name]["median_ms"]) for at, result in found if name in result["peers"]]
                    for name in sides]))
                head = ["", *(str(at) for at, _ in found)]
                parts.append(f"## {title}, {threads} thread{'s'[:threads - 1]}\n")
                for what, form in (("ms", lambda entry: f"{entry['median_ms']:.3f}"),
                                   ("most memory while it runs, MB", lambda entry: f"{entry['run_peak_mb']:.0f}"),
                                   ("seconds to the first result", lambda entry: f"{entry['seconds']:.3f}")):
                    parts.append(report.table([what, *head[1:]], rows(found, sides, form)))
        clock = "CPU time of 1 thread" if threads == 1 else f"elapsed time with {threads} threads"
        charts[threads] = chart.growth("How the cost grows", f"Median {clock}, float32, each in a process of its own",
                                       sides, panels)
    return "\n".join([*parts, report.missing(results)]), charts
