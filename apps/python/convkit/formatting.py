"""The project's format of C++."""

import os
import shutil
import subprocess


def formatted(text):
    """The text as the project's clang-format has it; where that is not at hand, as it is, and a note."""
    here = os.path.dirname(os.path.abspath(__file__))
    source = os.path.normpath(os.path.join(here, "..", "..", ".."))
    deps = os.path.join(source, ".deps", "clang-format", "clang_format", "data", "bin", "clang-format")
    tool = deps if os.path.exists(deps) else shutil.which("clang-format")
    style = os.path.join(source, ".clang-format")
    if tool is None:
        return text, "without clang-format (pip install clang-format) the page has long lines"
    given = f"file:{style}" if os.path.exists(style) else "{BasedOnStyle: Google, ColumnLimit: 100}"
    done = subprocess.run([tool, f"--style={given}"], input=text, capture_output=True, text=True, check=False)
    return (done.stdout, None) if done.returncode == 0 else (text, f"clang-format: {done.stderr.strip()}")


def indented(text):
    """The lines that `port` writes, indented by the braces that they open, but for those of namespaces."""
    lines, opened = [], []
    for line in text.split("\n"):
        if line.startswith("}") and opened:
            opened.pop()
        lines.append("  " * sum(opened) + line if line else line)
        if line.endswith("{") and not line.startswith("//"):
            opened.append(not line.startswith("namespace"))
    return "\n".join(lines)
