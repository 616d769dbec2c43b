"""excerpts.py README.md: the C++ on a page of prose is what convkit.port writes.

Looks for comments that say "on the page of MODULE:CALLABLE at SIZES", where a file is one of this folder, and ports
that. The lines of the text below, between those that say "...", have to stand on the page in their order. Without
clang-format the page is indented as an example's is.
"""

import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "apps" / "python"))
sys.path.insert(0, str(HERE.parents[1] / "parity"))
sys.path.insert(0, str(HERE.parent))


def words(text):
    """Without line breaks, which depend on clang-format."""
    return re.sub(r"\s+", "", text)


def badly_indented():
    """The lines of an example's page that begin a statement and are indented otherwise than clang-format has them."""
    from convkit.formatting import indented

    page = (HERE.parents[2] / "apps" / "examples" / "segmenter.h").read_text().splitlines()
    lines = indented("\n".join(line.strip() for line in page)).splitlines()
    return [ours for before, line, ours in zip(page, page[1:], lines[1:])
            if before.endswith((";", "{", "}")) and ours != line]


def main():
    import torchvision_operators  # noqa: F401: beside a torch for CPUs
    from convkit import port
    from pages import run

    prose = pathlib.Path(sys.argv[1]).read_text()
    found = re.findall(r"on the page of (\S+) at ([\d,]+) -->\n```text\n(.*?)```", prose, re.S)
    missing = [f"without clang-format: {line}" for line in badly_indented()]
    with tempfile.TemporaryDirectory() as folder:
        for callable, sizes, text in found:
            made = f"{HERE.parent}/{callable}" if callable.partition(":")[0].endswith(".py") else callable
            status, said, _ = run(port.main, ["port.py", made, "--input", sizes, "-o", f"{folder}/page.h"])
            page = words(pathlib.Path(folder, "page.h").read_text()) if status == 0 else said
            for part in re.split(r"^ *\.\.\.$", text, flags=re.M):
                before, part_found, page_rest = page.partition(words(part))
                if not part_found:
                    missing.append(f"{callable}: not on its page, in this order:\n{part}")
                page = page_rest or page
        if not pathlib.Path(folder, "page.h.before").exists():  # each of the pages was written over another one
            missing.append("a page that was another is not kept")
    sys.exit("\n".join(missing) if missing or not found else 0)


if __name__ == "__main__":
    main()
