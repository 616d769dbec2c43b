"""A checkpoint above 4 GiB through both formats: large_test.py CONVKIT

The file is sparse; where the disk has less than 15 GiB the test exits with 77 and says so.
"""

import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open

LARGE = 4 * 1024**3 + 4096


def write_sparse(path):
    """Two tensors, of which the large one is zero but for three bytes."""
    header = (f'{{"large":{{"dtype":"U8","shape":[{LARGE}],"data_offsets":[0,{LARGE}]}},'
              f'"after":{{"dtype":"U8","shape":[4],"data_offsets":[{LARGE},{LARGE + 4}]}}}}').encode().ljust(256)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + LARGE)
        for place, value in ((0, b"a"), (4 * 1024**3 + 5, b"b"), (LARGE - 1, b"c")):
            file.seek(8 + len(header) + place)
            file.write(value)
        file.seek(0, 2)
        file.write(b"past")


def check(large, after):
    assert large.shape == (LARGE,) and bytes(after.tolist()) == b"past"
    for place, value in ((0, b"a"), (4 * 1024**3 + 5, b"b"), (LARGE - 1, b"c")):
        assert large[place].item() == value[0], place
    assert large[4 * 1024**3].item() == 0 and large[5].item() == 0


def main():
    with tempfile.TemporaryDirectory() as name:
        if shutil.disk_usage(name).free < 15 * 1024**3:
            print("SKIPPED: less than 15 GiB of disk")
            sys.exit(77)
        sparse, pt, back = (Path(name) / file for file in ("sparse.safetensors", "large.pt", "back.safetensors"))
        write_sparse(sparse)
        subprocess.run([sys.argv[1], "convert", sparse, pt], check=True)
        state = torch.load(pt, mmap=True, weights_only=True)
        check(state["large"], state["after"])
        del state
        sparse.unlink()
        subprocess.run([sys.argv[1], "convert", pt, back], check=True)
        with safe_open(back, "pt") as file:
            check(file.get_tensor("large"), file.get_tensor("after"))
    print("both formats hold a tensor above 4 GiB")


main()
