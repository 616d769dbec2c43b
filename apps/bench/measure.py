"""One configuration: a workload, batch and number of threads, by every peer in a process of its own."""

import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import install
import workloads
from side import Failed, Side, interleaved
from workloads import EAGER, PEERS, PLAIN, WORKLOADS, Peer

PEER_PROCESS = Path(__file__).resolve().parent / "peer_process.py"
CEILING = "ceiling"  # among a network's peers: the fastest direct convolution in the same rounds


@dataclass(frozen=True)
class Config:
    workload: str
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{workloads.title(self.workload)}, batch {self.batch}, {self.threads} thread{'s'[:self.threads - 1]}"


class Bench:
    def __init__(self, worker: Path, folder: Path, rounds: int):
        self.worker, self.folder, self.rounds = worker, folder, rounds
        self.work = folder / "work"
        self.log = folder / "log"

    def say(self, text: str) -> None:
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def start(self, peer: Peer, config: Config) -> Side:
        log = self.log / f"{config.workload}.{config.batch}.{config.threads}.{peer.name.replace(' ', '_')}.log"
        if peer.kind == "convkit":
            return Side([self.worker], config.threads, log)
        # Each variant compiles by itself, whatever another one has in a cache, for each number of threads.
        cache = self.work / "inductor" / f"{peer.variant.replace(' ', '_')}.{config.threads}"
        return Side([install.python(), PEER_PROCESS], config.threads, log, {"TORCHINDUCTOR_CACHE_DIR": str(cache)})

    def request(self, peer: Peer, config: Config) -> dict[str, Any]:
        name, _ = workloads.split(config.workload)
        request = {"workload": name, "variant": peer.variant, "threads": config.threads,
                   "weights": str(workloads.weights_file(name, self.work)),
                   "input": str(workloads.input_file(config.workload, config.batch, self.work))}
        if peer.kind in ("onnx", "ncnn"):
            request["exported"] = str(self.exported(peer.kind, config, request))
        return request

    def exported(self, kind: str, config: Config, request: dict[str, Any]) -> Path:
        """The ONNX file, or ncnn's, by a process that has torch."""
        file = workloads.exported_file(config.workload, config.batch, kind, self.work)
        if not file.exists():
            log = self.log / f"{config.workload}.{config.batch}.export.{kind}.log"
            with Side([install.python(), PEER_PROCESS], config.threads, log) as exporter:
                seconds = exporter.ask(f"export {kind}", **request | {"file": str(file)})["seconds"]
            Path(f"{file}.seconds").write_text(f"{seconds}\n")
        return file

    def measure(self, config: Config, peers: Iterable[Peer], with_ceiling: bool = True) -> dict[str, Any]:
        """Times of all whose output is right, and why the others have none."""
        chosen = list(peers)
        workloads.write_files(config.workload, [config.batch], self.work)
        result: dict[str, Any] = {"workload": config.workload, "batch": config.batch, "threads": config.threads,
                                  "peers": {}, "missing": {}}
        sides: dict[str, Side] = {}
        try:
            # First the one that says what is right, timed or not.
            for peer in [PEERS[EAGER]] + [peer for peer in chosen if peer.name != EAGER]:
                self.say(f"{config}: {peer.name}")
                self.prepare(peer, config, sides, result)
            if PEERS[EAGER] not in chosen and EAGER in sides:
                sides.pop(EAGER).close()
                result["peers"].pop(EAGER)
            name, _ = workloads.split(config.workload)
            if with_ceiling and WORKLOADS[name].group == "network":
                self.add_ceiling(config, sides, result)
            self.run(config, sides, result)
        finally:
            for side in sides.values():
                side.close()
        return result

    def prepare(self, peer: Peer, config: Config, sides: dict[str, Side], result: dict[str, Any]) -> None:
        try:
            request = self.request(peer, config)
        except Failed as reason:
            result["missing"][peer.name] = f"export: {reason}"
            return
        side = self.start(peer, config)
        try:
            entry = side.ask("make", **request)
            if "exported" in request:
                entry["export_seconds"] = float(Path(request["exported"] + ".seconds").read_text())
            if peer.name != EAGER and EAGER not in result["peers"]:
                raise Failed("nothing to compare with")
            output = self.work / f"output.{peer.name.replace(' ', '_')}.safetensors"
            side.ask("output", file=str(output))
            entry["difference"] = self.difference(output)
            if entry["difference"] > peer.tolerance:
                raise Failed(f"its output differs by {entry['difference']:.2g} of the largest number")
            if peer.name == PLAIN:
                result["macs"] = side.ask("macs")["macs"]
        except Failed as reason:
            side.close()
            result["missing"][peer.name] = str(reason)
        else:
            sides[peer.name] = side
            result["peers"][peer.name] = entry

    def difference(self, output: Path) -> float:
        """Of the largest number of what Python eager gives."""
        import torch
        from safetensors.torch import load_file
        y = load_file(output)["y"]
        expected = load_file(self.work / f"output.{EAGER.replace(' ', '_')}.safetensors")["y"]
        if y.shape != expected.shape or y.dtype != expected.dtype:
            raise Failed(f"its output is {y.dtype} {list(y.shape)}, not {expected.dtype} {list(expected.shape)}")
        if not torch.isfinite(y).all() or expected.std() == 0:
            raise Failed("its output is not alive")
        return ((y - expected).abs().max() / expected.abs().max()).item()

    def add_ceiling(self, config: Config, sides: dict[str, Side], result: dict[str, Any]) -> None:
        ceiling = Config(f"{CEILING}@{WORKLOADS[CEILING].size}", 8, config.threads)
        workloads.write_files(ceiling.workload, [ceiling.batch], self.work)
        peer = PEERS[workloads.OURS_LAST]
        side = self.start(peer, ceiling)
        sides[CEILING] = side
        result["peers"][CEILING] = side.ask("make", **self.request(peer, ceiling) | {"variant": f"{peer.variant} direct"})
        result["peers"][CEILING]["macs"] = side.ask("macs")["macs"]

    def run(self, config: Config, sides: dict[str, Side], result: dict[str, Any]) -> None:
        """Each round takes about 0.2 s of each side, in repetitions of at least 1 ms."""
        once = {name: {"do": "run", "repetitions": 3, "calls": 1} for name in sides}
        warm, failed = interleaved(sides, 1, once)
        requests = {}
        for name in set(sides) - set(failed):
            took = max(min(warm[name][0]["ms"]), 1e-3)
            calls = max(1, round(1 / took))
            requests[name] = {"do": "run", "calls": calls, "repetitions": min(20, max(1, round(200 / took / calls)))}
        ready = {name: side for name, side in sides.items() if name in requests}
        answers, failed_later = interleaved(ready, self.rounds, requests, str(config))
        for name, reason in (failed | failed_later).items():
            result["missing"][name] = reason
            result["peers"].pop(name)
        for name, entry in result["peers"].items():
            rounds = [answer["ms"] for answer in answers[name]]
            entry["median_ms"] = statistics.median(time for times in rounds for time in times)
            entry["min_ms"] = min(time for times in rounds for time in times)
            entry["rounds_ms"] = [statistics.median(times) for times in rounds]
            entry["faults"] = answers[name][-1]["faults"]
            entry["run_peak_mb"] = answers[name][-1]["run_peak_mb"]


def speed(entry: dict[str, Any], macs: int) -> float:
    """GFLOP/s."""
    return 2e-6 * macs / entry["median_ms"]
