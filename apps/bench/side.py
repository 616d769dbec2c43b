"""A process of the benchmarks: C++'s bench_worker or Python's peer_process.py, a line of JSON each way."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


# glibc's, with which no process gives the memory of large results back, to get it anew, page by page, on its next call.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


class Failed(Exception):
    """What a process says it cannot do, in one line."""


class Side:
    def __init__(self, command: Sequence[str | Path], threads: int, log: Path,
                 environment: dict[str, str] | None = None):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        variables = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            env=variables | (environment or {}))
        self.answers = selectors.DefaultSelector()
        self.answers.register(self.process.stdout, selectors.EVENT_READ)

    def ask(self, do: str, timeout: float = 900, **request: Any) -> dict[str, Any]:
        line = json.dumps({"do": do} | request) + "\n"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self.last_words()) from None
        if not self.answers.select(timeout):
            self.close()
            raise Failed(f"no answer to {do} in {timeout:.0f} s")
        answered = self.process.stdout.readline()
        if not answered:
            raise Failed(self.last_words())
        answer = json.loads(answered)
        if "error" in answer:
            raise Failed(answer["error"].strip().partition("\n")[0])
        return answer

    def last_words(self) -> str:
        code = self.process.wait()
        said = self.log.read_text(errors="replace").strip().splitlines()
        return f"ended with {code}: {said[-1] if said else 'without a word'}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.answers.close()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def interleaved(sides: dict[str, Side], rounds: int, requests: dict[str, dict[str, Any]], progress: str = ""
                ) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Each round asks every side once, each round beginning with another one; and those that failed."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    failed: dict[str, str] = {}
    for i in range(rounds):
        names = list(sides)
        start = i % len(names) if names else 0
        for name in names[start:] + names[:start]:
            if name in failed:
                continue
            time.sleep(0.02)  # the threads of the one before still look for work for a while
            try:
                answers[name].append(sides[name].ask(**requests[name]))
            except Failed as reason:
                failed[name] = str(reason)
        if progress:
            print(f"\r{progress}: round {i + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    if progress:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return answers, failed
