"""record.py ARGUMENTS: what `python -m convkit.record ARGUMENTS` does, from the folder of the source."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

from convkit.record import main  # noqa: E402: it is found there

if __name__ == "__main__":
    main()
