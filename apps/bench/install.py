"""Where the peers are installed, and how: into a Python environment of their own, .deps/bench, that also sees the
packages of the Python that runs this, its torch above all."""

import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".deps" / "bench"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


def python() -> str:
    """Of the environment, or the one that runs this where nothing was installed."""
    own = ENVIRONMENT / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def install() -> None:
    folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    base = Path(sys.base_prefix) / "bin" / "python3"
    subprocess.run([base, "-m", "venv", "--clear", "--without-pip", ENVIRONMENT], check=True)
    own = next(ENVIRONMENT.glob("lib/python3*/site-packages"))
    (own / "convkit.pth").write_text("".join(f"{folder}\n" for folder in folders))
    # A user's own settings of where pip installs to do not hold here.
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    # Without dependencies: pip would bring another torch.
    subprocess.run([base, "-m", "pip", "--python", python(), "install", "--no-deps", "--no-input",
                    "--no-cache-dir", "--disable-pip-version-check", "-r", REQUIREMENTS],
                   check=True, env=environment | {"PIP_USER": "0"})
