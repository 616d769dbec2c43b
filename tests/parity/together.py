"""Runs Python scripts that all need torch: together.py [--stamp FILE] [--import MODULE] -- SCRIPT ARGUMENTS -- ...

Python imports torch, and MODULE, once; each script then runs as a process of its own, forked from that one, two side
by side. With --stamp nothing runs if the scripts, the arguments, torch and the processor are those of the last time.
"""

import hashlib
import os
import pathlib
import runpy
import sys
import time
import traceback

FOLDER = pathlib.Path(__file__).resolve().parent
APPS = FOLDER.parents[1] / "apps"


def commands(arguments):
    """What stands before the first --, and the lists between the others."""
    lists = [[]]
    for argument in arguments:
        if argument == "--":
            lists.append([])
        else:
            lists[-1].append(argument)
    return lists[0], lists[1:]


def state(given):
    """A hash of everything that the scripts' results depend on."""
    import importlib.util

    torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "version.py"
    sources = sorted({*FOLDER.glob("*.py"), *FOLDER.glob("*.txt"), *APPS.rglob("*.py"),
                      *(pathlib.Path(command[0]) for command in given)})
    processor = {line for line in open("/proc/cpuinfo") if line.startswith(("model name", "flags"))}
    hashed = hashlib.sha256(repr((given, sorted(processor), torch.read_text())).encode())
    for source in sources:
        hashed.update(source.read_bytes())
    return hashed.hexdigest()


def run(command):
    """Runs a script as `python SCRIPT ARGUMENTS` would, in this process, and returns the exit status."""
    sys.argv = command
    sys.path[0] = str(pathlib.Path(command[0]).resolve().parent)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def fork(command):
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = run(command)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return child


def main():
    options, given = commands(sys.argv[1:])
    options = dict(zip(options[::2], options[1::2]))
    stamp = pathlib.Path(options["--stamp"]) if "--stamp" in options else None
    now = state(given) if stamp else ""
    if stamp and stamp.exists() and stamp.read_text() == now:
        print("all files are there already")
        return
    if stamp:
        stamp.unlink(missing_ok=True)

    sys.path.insert(0, str(FOLDER))
    __import__(options.get("--import", "torch"))
    waiting, running, failed = list(given), {}, False
    while waiting or running:
        while waiting and len(running) < 2:
            command = waiting.pop(0)
            running[fork(command)] = command, time.monotonic()
        child, status = os.wait()
        command, started = running.pop(child)
        print(f"{time.monotonic() - started:.1f} s, exit status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}", flush=True)
        failed |= status != 0
    if stamp and not failed:
        stamp.write_text(now)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
