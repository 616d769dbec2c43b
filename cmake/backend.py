"""pip's way to the wheel: scikit-build-core builds it, and then it gets what only the built files say.

These are the minor version of torch that it depends on, and the tag of the systems that it runs on: what the versions
of the symbols need that its binaries take from glibc and libstdc++. There is no hook for metadata alone, since these
are known after the build.
"""

import base64
import hashlib
import os
import re
import zipfile

from scikit_build_core import build as scikit_build
from scikit_build_core.build import build_sdist, get_requires_for_build_sdist, get_requires_for_build_wheel

__all__ = ["build_sdist", "build_wheel", "get_requires_for_build_sdist", "get_requires_for_build_wheel"]

# The newest GLIBCXX_3.4.N of a manylinux_2_M, as in auditwheel's table of policies.
POLICIES = [(19, 17), (24, 28), (28, 31), (29, 34), (30, 35), (32, 38), (33, 39)]


def manylinux(binaries):
    """The M of manylinux_2_M for these binaries; the versions of symbols stand in them as texts."""
    binaries = b"\0".join(binaries)
    glibc = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", binaries)]
    glibcxx = max(int(minor) for minor in re.findall(rb"\0GLIBCXX_3\.4\.(\d+)(?=\0)", binaries))
    for newest, policy in POLICIES:
        if glibcxx <= newest:
            return max(policy, *glibc)
    raise RuntimeError(f"cmake/backend.py does not know which manylinux has GLIBCXX_3.4.{glibcxx}")


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    given = scikit_build.build_wheel(wheel_directory, config_settings, metadata_directory)
    path = os.path.join(wheel_directory, given)
    with zipfile.ZipFile(path) as file:
        entries = [(info, file.read(info)) for info in file.infolist()]
    built = next(data.decode() for info, data in entries if info.filename == "convkit/_built.py")
    torch = re.search(r'^TORCH = "(.+)"$', built, re.M)[1]
    binaries = [data for _, data in entries if data.startswith(b"\x7fELF")]
    old = given.removesuffix(".whl").rsplit("-", 1)[1]
    new = old.replace("linux_", f"manylinux_2_{manylinux(binaries)}_", 1)
    renamed = given.replace(old, new)

    records = []
    with zipfile.ZipFile(os.path.join(wheel_directory, renamed), "w", zipfile.ZIP_DEFLATED) as file:
        for info, data in entries:
            name = info.filename
            if name.endswith(".dist-info/METADATA"):
                header, blank, page = data.decode().partition("\n\n")
                needs = [f"torch=={torch}.*", "safetensors", "numpy"]  # safetensors saves tensors by numpy
                requires = "".join(f"\nRequires-Dist: {package}" for package in needs)
                data = (header + requires + blank + page).encode()
            elif name.endswith(".dist-info/WHEEL"):
                data = data.decode().replace(old, new).encode()
            elif name.endswith(".dist-info/RECORD"):
                data = "\n".join([*records, f"{name},,", ""]).encode()
            file.writestr(info, data, zipfile.ZIP_DEFLATED)
            records.append(record_line(name, data))
    os.remove(path)
    return renamed
