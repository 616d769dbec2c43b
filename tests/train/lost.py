"""Three processes lose the second one: lost.py PROGRAM

The others have to end with one sentence: at once where it was killed, and after the timeout of 6 s where it stopped.
"""

import os
import re
import socket
import subprocess
import sys


def start(program, how, where):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = os.environ | {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name in [name for name in environment if name.startswith("TORCHELASTIC_")]:
        del environment[name]
    return [
        subprocess.Popen([program, how, where], stderr=subprocess.PIPE, text=True, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(3)
    ]


def check(program, how, where, expected):
    processes = start(program, how, where)
    try:
        for rank in (0, 2):
            error = processes[rank].communicate(timeout=60)[1]
            if processes[rank].returncode != 1 or not re.fullmatch(expected, error):
                sys.exit(f"{how}, {where}, process {rank}: exit status {processes[rank].returncode}, {error}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(program):
    closed = r"[^\n]*(Connection closed by peer|Connection reset by peer|Broken pipe)[^\n]*\n"
    # One of the two is the first to find out, and then the other loses it too.
    late = rf"Timed out waiting 6000ms for (recv|send) operation to complete\n|Application timeout caused pair closure\n|{closed}"
    got = " expected all 3 processes within 6 s, got: "
    check(program, "killed", "barrier", f"barrier:{got}{closed}")
    check(program, "killed", "backward", closed)
    check(program, "stopped", "all_reduce", f"all_reduce:{got}({late})")


if __name__ == "__main__":
    main(sys.argv[1])
