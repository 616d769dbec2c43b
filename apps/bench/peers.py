"""compile() against its peers, each in a process of its own, interleaved:

    peers.py --install                     once: ONNX Runtime, OpenVINO and ncnn, into .deps/bench
    peers.py BENCH_WORKER                  everything
    peers.py BENCH_WORKER --quick          a few minutes
    peers.py BENCH_WORKER --growth         how the cost grows with the batch and the image

Writes results.json, report.md and charts into a folder. Peers that are not installed are listed as missing."""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import chart
import growth
import install
import report
import workloads
from measure import Bench, Config
from side import KEEP_MEMORY
from workloads import OURS, PEERS, PLAIN, RIVALS, WORKLOADS

PACKAGES = ("torch", "torchvision", "onnxruntime", "openvino", "onnx", "onnxscript", "ncnn")


def machine() -> dict[str, Any]:
    """What the times depend on."""
    model = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    script = ("import importlib.metadata as m, json, sys\nfound = {}\nfor name in sys.argv[1:]:\n"
              " try: found[name] = m.version(name)\n except m.PackageNotFoundError: pass\nprint(json.dumps(found))")
    versions = subprocess.run([install.python(), "-c", script, *PACKAGES], capture_output=True, text=True, check=True)
    return {"cpu": model[0] if model else platform.machine(), "cores": os.cpu_count(),
            "python": platform.python_version(), "versions": json.loads(versions.stdout)}


def described(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    keeping = "all processes keep" if found.get("keep_memory") else "of torch's, only convkit's compiled modules keep"
    return (f"{found['cpu']}, {found['cores']} cores; Python {found['python']}, {versions}; "
            f"{keeping} the memory of large tensors")


def charts(results: list[dict[str, Any]], where: str) -> dict[str, str]:
    """By their files' names, one for each batch and number of threads."""
    drawn = {}
    rivals = [peer for peer in RIVALS if any(peer.name in result["peers"] for result in results)]
    for setting, chosen in report.by_setting(results):
        panels = []
        for group, name in (("network", "Networks"), ("block", "Single blocks")):
            rows = [(workloads.title(result["workload"]).rpartition(", ")[0] if group == "block" else
                     workloads.title(result["workload"]), [report.ratio(result, peer) for peer in rivals])
                    for result in chosen if report.group(result) == group]
            rows = [row for row in rows if any(value is not None for value in row[1])]
            if rows:
                panels.append(chart.Bars(name, rows))
        if panels:
            batch, threads = chosen[0]["batch"], chosen[0]["threads"]
            drawn[f"peers.batch{batch}.threads{threads}.svg"] = chart.ratios(
                "How much longer the others take", f"float32, {setting}; {where}",
                [peer.name for peer in rivals], [chart.COLORS[RIVALS.index(peer)] for peer in rivals], panels)
    return drawn


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def numbers(given: str) -> list[int]:
        return [int(number) for number in given.split(",")]

    parser.add_argument("worker", nargs="?", type=Path, metavar="BENCH_WORKER", help="the built bench_worker")
    parser.add_argument("--install", action="store_true", help="install the peers, then go on if there is a worker")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(workloads.QUICK)}; batch 1, 1 thread")
    parser.add_argument("--growth", action="store_true", help="batches 1 to 32 and sizes 64 to 512")
    parser.add_argument("--workloads", metavar="NAME[@SIZE],...", help=", ".join(workloads.ALL))
    parser.add_argument("--batch", type=numbers, metavar="N,...", help="1,8")
    parser.add_argument("--threads", type=numbers, metavar="N,...", help="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", metavar="NAME,...", help=", ".join(PEERS))
    parser.add_argument("--keep-memory", action="store_true",
                        help="all processes keep the memory of large tensors, not only convkit's compiled modules")
    parser.add_argument("--resume", action="store_true", help="go on with the results.json of the folder")
    parser.add_argument("--report", action="store_true", help="only write the report and the charts again")
    parser.add_argument("-o", dest="folder", type=Path, metavar="FOLDER", help="by default peers beside BENCH_WORKER")
    given = parser.parse_args()
    if not given.install and given.worker is None:
        parser.error("a BENCH_WORKER, or --install")
    return given


def plan(given: argparse.Namespace) -> tuple[list[Config], list[workloads.Peer]]:
    threads = given.threads or ([1] if given.quick else [1, 2])
    names = list(PEERS)
    if given.growth:
        names = growth.SIDES
        networks = [workloads.split(name)[0] for name in given.workloads.split(",")] if given.workloads else None
        configs = growth.configs(threads, networks or growth.NETWORKS, given.batch or growth.BATCHES)
    else:
        chosen = given.workloads.split(",") if given.workloads else workloads.QUICK if given.quick else workloads.ALL
        full = ["{}@{}".format(*workloads.split(name)) for name in chosen]
        batches = given.batch or ([1] if given.quick else [1, 8])
        configs = [Config(name, batch, count) for count in threads for batch in batches for name in full
                   if batch == 1 or WORKLOADS[workloads.split(name)[0]].group != "call"]
    if given.peers:
        names = [name.strip() for name in given.peers.split(",")]
        unknown = [name for name in names if name not in PEERS]
        if unknown:
            raise SystemExit(f"peers.py: no peer {unknown[0]}; there are {', '.join(PEERS)}")
        names = list(dict.fromkeys([*names, OURS, PLAIN] if not given.growth else [*names, OURS]))
    return configs, [PEERS[name] for name in PEERS if name in names]


def write(folder: Path, found: dict[str, Any], grows: bool) -> str:
    """The report, which it also returns, and the charts."""
    results = found["results"]
    if grows:
        said, drawn = growth.write(described(found["machine"]), results)
        files = {f"growth.threads{threads}.svg": svg for threads, svg in drawn.items()}
    else:
        said = report.write(described(found["machine"]), results)
        files = charts(results, f"{found['machine']['cpu']}, {found['machine']['cores']} cores")
    for name, content in (files | {"report.md": said}).items():
        (folder / name).write_text(content)
    return said


def main() -> None:
    given = arguments()
    if given.install:
        install.install()
        if given.worker is None:
            return
    worker = given.worker.resolve()
    folder = (given.folder or worker.parent / ("growth" if given.growth else "peers")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    earlier = json.loads(file.read_text()) if file.exists() and (given.resume or given.report) else None
    found = earlier or {"machine": machine() | {"keep_memory": given.keep_memory}, "results": []}
    if found["machine"].get("keep_memory"):
        os.environ |= KEEP_MEMORY
    if not given.report:
        configs, peers = plan(given)
        done = {Config(result["workload"], result["batch"], result["threads"]) for result in found["results"]}
        bench = Bench(worker, folder, given.rounds)
        for config in configs:
            if config in done:
                continue
            found["results"].append(bench.measure(config, peers, with_ceiling=not given.growth))
            file.write_text(json.dumps(found, indent=1))
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(write(folder, found, given.growth))
    print(f"{folder}: report.md, results.json and charts")


if __name__ == "__main__":
    main()
