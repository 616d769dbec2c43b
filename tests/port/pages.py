"""pages.py FOLDER FILE.py|NAME=MODULE:CALLABLE...: ports modules and records what they compute, for check.cpp.

Of a file it takes the classes in its CASES, with their inputs; of FILE.py@2/7 every seventh alone, beginning with the
third. Other modules are torchvision's, at 2,3,64,64, or as NAME says: NAME@2,3,96,96, or NAME@@2,3,96,96 for one that
takes no other image; in a file, the input of such a one is @2,3,96,96. Each is ported with one input, and recorded
with another one that has more rows and pixels. A process forked from this one does each. FOLDER gets NAME.h,
NAME.safetensors, and pages.h, which includes all of them.
Prints what was refused. Exits with 1 if a class of a file is refused, or one of REFUSED is not, or for another reason,
and with 4 where a file says that it has none here.
"""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import re
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "apps" / "python"))
sys.path.insert(0, str(HERE.parents[1] / "parity"))


def run(main, arguments):
    """What a command of the package does: its exit status, what it says on stderr, and what it returns."""
    sys.argv = arguments
    said, result = io.StringIO(), None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            result = main()
            status = 0
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 1
    return status, said.getvalue(), result


def forked(function, log):
    """The exit status of a function in a process of its own; what it prints goes to `log`."""
    child = os.fork()
    if child == 0:
        with open(log, "w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.stdout.flush()
            try:
                status = function()
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def make(folder, name, callable, ported, recorded, kwargs):
    from convkit import port, project, record

    inputs = [word for given in ported for word in ("--input", given)]
    made = [callable, "--kwargs", json.dumps(kwargs)]
    status, said, page = run(port.main, ["port.py", *made, *inputs, "-o", str(folder / f"{name}.h")])
    if status == 0:
        (folder / f"{name}.run").write_text(project.forward_of(page, name))
        inputs = [word for given in recorded for word in ("--input", given)]
        status, more, _ = run(record.main, ["record.py", *made, *inputs, "--train", "--fresh",
                                         "-o", str(folder / f"{name}.safetensors")])
        said += more
    print(said, end="")
    return status


def grown(given):
    """Sizes with one more row, and larger images unless an @ says otherwise."""
    by = 0 if given.startswith("@") else 32
    given, colon, bound = given.lstrip("@").partition(":")
    sizes = [int(size) for size in given.split(",")]
    sizes = [n + 1 if d == 0 else n + by if d >= 2 and len(sizes) == 4 else n for d, n in enumerate(sizes)]
    return ",".join(map(str, sizes)) + colon + bound


def cases_of(argument):
    """(name, callable, inputs to port with, inputs to record, kwargs, what it is refused with)."""
    found = re.fullmatch(r"(.*\.py)(?:@(\d+)/(\d+))?", argument)
    if not found:
        name, _, callable = argument.partition("=")
        name, _, given = name.partition("@")
        callable, _, kwargs = (callable or f"torchvision.models:{name}").partition("?")
        given = given or "2,3,64,64"
        yield name, callable, [given.lstrip("@")], [grown(given)], json.loads(kwargs or "{}"), None
        return
    argument, first, parts = found[1], int(found[2] or 0), int(found[3] or 1)
    spec = importlib.util.spec_from_file_location(pathlib.Path(argument).stem, argument)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, inputs, *kwargs in module.CASES[first::parts]:
        yield (name, f"{argument}:{name}", [given.lstrip("@") for given in inputs], list(map(grown, inputs)),
               *(kwargs or [{}]), None)
    for name, inputs, said in module.REFUSED[first::parts]:
        yield name, f"{argument}:{name}", inputs, inputs, {}, said


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    import torchvision_operators  # noqa: F401: beside a torch for CPUs
    import torchvision  # noqa: F401: once for all
    import convkit.port  # noqa: F401
    import convkit.record  # noqa: F401

    pages, failed, skipped = [], [], 0
    for argument in sys.argv[2:]:
        try:
            cases = list(cases_of(argument))
        except SystemExit as exit:
            cases, skipped = [], exit.code
        for name, callable, ported, recorded, kwargs, refused in cases:
            log, begun = folder / f"{name}.log", time.time()
            status = forked(lambda: make(folder, name, callable, ported, recorded, kwargs), log)
            said = log.read_text().strip()
            print(f"{name}: {status} in {time.time() - begun:.1f} s {said.splitlines()[-1] if said else ''}", flush=True)
            if refused is not None:
                if status != 2 or refused not in said or said.count("\n"):
                    failed.append(f"{name}: expected to be refused with {refused}, got {status}: {said}")
            elif status == 0:
                text = (folder / f"{name}.h").read_text()
                root = text.rpartition("CONVKIT_MODULE(")[2].partition(")")[0]
                pages.append((name, root))
            else:
                failed.append(f"{name}: {said.splitlines()[-1] if said else status}, see {log}")
    lines = [f'#include "{name}.h"' for name, _ in pages]
    uses = [f"use({name}, {root})" for name, root in pages]
    from convkit import project
    lines += ["", project.USING, project.HELPERS, *((folder / f"{name}.run").read_text() for name, _ in pages)]
    lines += ["", " \\\n  ".join(["#define CONVKIT_PAGES(use)", *uses]), ""]
    (folder / "pages.h").write_text("\n".join(lines))
    sys.exit("\n".join(failed) or skipped)


if __name__ == "__main__":
    main()
