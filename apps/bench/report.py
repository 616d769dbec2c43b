"""Tables of what peers.py measured, and its targets."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import workloads
from measure import CEILING, speed
from workloads import EAGER, OURS, OURS_LAST, PEERS, RIVALS, WORKLOADS, Peer

Result = dict[str, Any]

LEGEND = """Each number is a peer's time over that of convkit's compiled module, by medians, by minima in brackets: \
above 1 convkit is faster. Peers with channels_last (cl) inputs and results are divided by convkit's with the same. \
Outputs were compared with Python eager's before: float32 within 1e-4 of the largest number, the others within 1e-1. \
Those with ! do not compute in float32."""


def ours(peer: Peer) -> str:
    """Whom a peer is measured against: the same layout in and out."""
    return OURS_LAST if peer.layout == "channels_last" and peer.name != OURS_LAST else OURS


def ratio(result: Result, peer: Peer, key: str = "median_ms") -> float | None:
    entries = result["peers"]
    if peer.name not in entries or ours(peer) not in entries:
        return None
    return entries[peer.name][key] / entries[ours(peer)][key]


def group(result: Result) -> str:
    return WORKLOADS[workloads.split(result["workload"])[0]].group


def place(result: Result) -> str:
    title = workloads.title(result["workload"])
    return f"{title}, batch {result['batch']}, {result['threads']} thread{'s'[:result['threads'] - 1]}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown that reads as text, too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(cells, widths)))
        return f"| {' | '.join([first, *rest])} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(head), rule, *map(line, rows)]) + "\n"


def by_setting(results: list[Result]) -> Iterator[tuple[str, list[Result]]]:
    for setting in sorted({(result["threads"], result["batch"]) for result in results}):
        chosen = [result for result in results if (result["threads"], result["batch"]) == setting]
        threads, batch = setting
        clock = "1 thread, CPU time" if threads == 1 else f"{threads} threads, elapsed time"
        yield f"batch {batch}, {clock}", chosen


def present(results: list[Result]) -> list[Peer]:
    """Those that were asked for, float32 first."""
    names = {name for result in results for name in [*result["peers"], *result["missing"]]}
    return sorted((peer for peer in PEERS.values() if peer.name in names), key=lambda peer: not peer.exact)


def times(results: list[Result]) -> str:
    columns = [peer for peer in present(results) if peer.name != OURS]
    rows = []
    for result in results:
        own = result["peers"].get(OURS)
        row = [workloads.title(result["workload"]), f"{own['median_ms']:.3f}" if own else "-"]
        for peer in columns:
            median, least = ratio(result, peer), ratio(result, peer, "min_ms")
            row.append("-" if median is None or least is None else f"{median:.2f} ({least:.2f})")
        rows.append(row)
    head = [f"{'' if peer.exact else '! '}{peer.short}" for peer in columns]
    return table(["", "compiled, ms", *head], rows)


def costs(results: list[Result], what: Callable[[dict[str, Any]], str]) -> str:
    columns = present(results)
    rows = [[workloads.title(result["workload"])] +
            [what(result["peers"][peer.name]) if peer.name in result["peers"] else "-" for peer in columns]
            for result in results]
    return table(["", *(peer.short for peer in columns)], rows)


def missing(results: list[Result]) -> str:
    """Each reason once, with how often."""
    reasons: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        for name, reason in result["missing"].items():
            reasons.setdefault((name, reason), []).append(result)
    lines = [f"- {name}: {reason} ({place(where[0])}{f' and {len(where) - 1} more' if len(where) > 1 else ''})"
             for (name, reason), where in reasons.items()]
    return "## Missing\n\n" + "\n".join(lines) + "\n" if lines else ""


# ------------------------------------------------------------------------------------------------- targets

Row = tuple[str, str, str]


def judged(target: str, values: Iterable[tuple[float, str]], least: float, form: str = "{:.2f}") -> Row:
    """The worst of all is what counts, and has to be `least` or more."""
    worst = min(values, default=None)
    if worst is None:
        return target, "-", "not measured"
    value, where = worst
    return target, f"{form.format(value)} ({where})", "reached" if value >= least else "not reached"


def against_rivals(results: list[Result], of: str) -> Iterator[tuple[float, str]]:
    for result in results:
        if group(result) == of:
            for peer in RIVALS:
                value = ratio(result, peer)
                if value is not None:
                    yield value, f"{peer.name}: {place(result)}"


def geometric_mean(results: list[Result]) -> Iterator[tuple[float, str]]:
    values = [ratio(result, PEERS[EAGER]) for result in results if group(result) in ("network", "block")]
    logarithms = [math.log(value) for value in values if value is not None]
    if logarithms:
        yield math.exp(sum(logarithms) / len(logarithms)), f"of {len(logarithms)}"


def of_ceiling(results: list[Result]) -> Iterator[tuple[float, str]]:
    for result in results:
        entries = result["peers"]
        name, size = workloads.split(result["workload"])
        if name in ("resnet18", "unet_resnet18") and {CEILING, OURS} <= set(entries) and "macs" in result:
            top, own = speed(entries[CEILING], entries[CEILING]["macs"]), speed(entries[OURS], result["macs"])
            yield own / top, f"{own:.0f} of {top:.0f} GFLOP/s: {place(result)}"


def own_cost(results: list[Result], name: str, key: str, scale: float) -> Iterator[tuple[float, str]]:
    """Negative, since the least is the worst."""
    for result in results:
        if workloads.split(result["workload"])[0] == name and OURS in result["peers"]:
            yield -scale * result["peers"][OURS][key], place(result)


def targets(results: list[Result]) -> list[Row]:
    def at_most(target: str, values: Iterable[tuple[float, str]], most: float, form: str) -> Row:
        name, said, verdict = judged(target, values, -most, form)
        return name, said.replace("-", "", 1) if verdict != "not measured" else said, verdict

    one_by_one = [result for result in results if (result["batch"], result["threads"]) == (1, 1)]
    faults = ((-result["peers"][OURS]["faults"], place(result)) for result in results if OURS in result["peers"])
    return [
        judged("as fast as every float32 peer on every network: worst ratio >= 1",
               against_rivals(results, "network"), 1),
        judged("on every single block: worst ratio >= 0.95", against_rivals(results, "block"), 0.95),
        judged("Python eager in the geometric mean: ratio >= 2", geometric_mean(results), 2),
        judged("ResNet-18 and U-Net: above 90 % of the fastest direct convolution", of_ceiling(results), 0.9, "{:.0%}"),
        at_most("fixed cost of a call: below 5 us", own_cost(one_by_one, "conv_8_8", "median_ms", 1e3), 5, "{:.2f} us"),
        at_most("compile() of ResNet-18: below 0.5 s", own_cost(results, "resnet18", "seconds", 1), 0.5, "{:.2f} s"),
        at_most("page faults of a call: below 1", faults, 1, "{:.1f}"),
    ]


def write(machine: str, results: list[Result]) -> str:
    order = list(WORKLOADS)
    results = sorted(results, key=lambda result: order.index(workloads.split(result["workload"])[0]))
    parts = ["# compile() against its peers\n", machine + "\n", LEGEND + "\n"]
    for setting, chosen in by_setting(results):
        parts += [f"## Time, {setting}\n", times(chosen)]
    for setting, chosen in by_setting(results):
        parts += [f"## Seconds from the module to the first result, {setting}\n",
                  costs(chosen, lambda entry: f"{entry['seconds']:.3f}" + (
                      f" + {entry['export_seconds']:.1f}" if "export_seconds" in entry else "")),
                  "ONNX: + the export.\n",
                  f"## Most memory of the process, MB, while it compiles and while it runs, {setting}\n",
                  costs(chosen, lambda entry: f"{entry['peak_mb']:.0f}, {entry['run_peak_mb']:.0f}"),
                  f"## Page faults of a call, {setting}\n", costs(chosen, lambda entry: f"{entry['faults']:.1f}"),
                  f"## Largest difference from Python eager, of its largest number, {setting}\n",
                  costs(chosen, lambda entry: f"{entry.get('difference', 0):.1e}")]
    parts += [missing(results), "## Targets\n",
              table(["target", "measured", ""], [list(row) for row in targets(results)])]
    return "\n".join(part for part in parts if part)
