"""readme_test.py SOURCE BUILD [PYTHON] [--onednn] [--gloo]: every example in the README files and the headers holds.

The words after ``` say what a block is, and what holds it:

    cpp      lines of a program in apps/ that the build compiles and the tests run
    cmake    lines of a project in tests/consumer/, which .ci/run configures and builds
    sh       commands that succeed here, in the order of the page; workflows have to be presets
    console  commands, each after "$ ", and what they print; "..." stands for any text

The commands of a page run in a folder of their own with `build` and `apps` in it, and the tool `convkit` in the PATH.
What .ci/run or nobody runs has a comment above it that says so: <!-- run by FILE -->, <!-- not run: REASON -->.

A page that needs Python is skipped without PYTHON, which has torch. All links to files and headings have to lead there.

An example in a header's doc comment stands in apps/header_examples.cpp, which the build compiles.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

SOURCE, BUILD = (Path(argument).resolve() for argument in sys.argv[1:3])
# What some examples need: a word in them, and what it stands for.
WITHOUT = {word for word, option in (("oneDNN", "--onednn"), ("torchrun", "--gloo")) if option not in sys.argv}
PYTHON = next((os.path.abspath(argument) for argument in sys.argv[3:] if not argument.startswith("--")), None)

EXAMPLES = sorted(SOURCE.glob("apps/examples/*.cpp"))
sys.path.insert(0, str(SOURCE / "cmake" / "docs"))
import comments  # noqa: E402: what reads doc comments for the reference

FENCE = re.compile(r"(?:^<!-- ([^\n]*) -->\n+)?^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
failures = []


def pages():
    folders = [SOURCE / name for name in (".github", "apps", "cmake", "include", "src", "tests")]
    return sorted([*SOURCE.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))])


def fail(page, what):
    failures.append(f"{page.relative_to(SOURCE)}: {what.strip()}")


def anchors(page):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def check_links(page, text):
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or SOURCE not in (target, *target.parents):
            fail(page, f"a link leads nowhere: {link}")
        elif anchor and anchor not in anchors(target):
            fail(page, f"a link leads to no heading: {link}")


def lines_of(text):
    """The lines without the indentation that all have; blank lines at the ends do not count."""
    return textwrap.dedent(text).strip("\n").split("\n")


def stands_in(block, file):
    wanted = lines_of(block)
    lines = file.read_text().split("\n")
    return any(lines_of("\n".join(lines[i:i + len(wanted)])) == wanted for i in range(len(lines)))


def check_quotation(page, block, files):
    if not any(stands_in(block, file) for file in files):
        fail(page, f"no program has these lines:\n{block}")


def matches(expected, actual):
    parts = [re.escape(part) for part in expected.rstrip("\n").split("...")]
    return re.fullmatch("(?s:.*?)".join(parts), actual.rstrip("\n")) is not None


def commands_of(language, block):
    """Pairs of a command and what it has to print, None where that is not said."""
    block = block.replace("\\\n", " ")
    if language == "sh":
        return [(line, None) for line in block.split("\n") if line.split("#")[0].strip()]
    chunks = re.split(r"^\$ ", block, flags=re.M)
    assert not chunks[0].strip(), f"a console block begins with a command: {block}"
    return [(command, output) for command, _, output in (chunk.partition("\n") for chunk in chunks[1:])]


class Shell:
    """Runs the commands of one page."""

    def __init__(self, folder):
        self.folder = folder
        Path(folder, "build").symlink_to(BUILD)
        Path(folder, "apps").symlink_to(SOURCE / "apps")
        # A torchvision for CUDA beside a torch for CPUs, as the tests have it, has to be helped.
        Path(folder, "site").mkdir()
        Path(folder, "site", "sitecustomize.py").write_text("import torchvision_operators\n")

    def run(self, command):
        environment = os.environ | {
            "PATH": f"{BUILD / 'apps' / 'convkit'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1", "EXAMPLE_PYTHON": PYTHON or "",
            "PYTHONPATH": f"{self.folder}/site:{SOURCE / 'tests' / 'parity'}:{SOURCE / 'apps' / 'python'}"}
        script = ('python() { "$EXAMPLE_PYTHON" "$@"; }\n'
                  'torchrun() { python -m torch.distributed.run "$@"; }\n' + command)
        return subprocess.run(["bash", "-c", script], cwd=self.folder, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def check_command(page, shell, command, expected):
    workflow = re.match(r"cmake --workflow --preset (\w+)", command)
    if workflow:
        if f'"name": "{workflow[1]}"' not in (SOURCE / "CMakePresets.json").read_text().partition("workflowPresets")[2]:
            fail(page, f"no such workflow: {command}")
        return
    done = shell.run(command)
    # `convkit compare` says by 1 that something differs; the text says that too.
    if done.returncode not in ((0,) if expected is None else (0, 1)):
        fail(page, f"exit code {done.returncode}: {command}\n{done.stdout}")
    elif expected is not None and not matches(expected, done.stdout):
        fail(page, f"{command}\nexpected:\n{expected}\ngot:\n{done.stdout}")


def check_page(page, counts):
    text = page.read_text()
    check_links(page, text)
    blocks = FENCE.findall(text)
    programs = [*SOURCE.glob("apps/*.cpp"), *EXAMPLES]
    projects = [*SOURCE.glob("tests/consumer/*/CMakeLists.txt")]
    without_python = PYTHON is None and any(re.search(r"^(\$ )?(python|torchrun) ", block, re.M) for *_, block in blocks)
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(folder)
        for note, language, block in blocks:
            if note.startswith("run by "):
                runner = (page.parent / note.removeprefix("run by ")).resolve()
                if not runner.is_file() or page.name not in runner.read_text():
                    fail(page, f"does not run it: {note}")
                verdict = "run elsewhere"
            elif note.startswith("not run: "):
                verdict = "not run"
            elif language in ("cpp", "cmake"):
                check_quotation(page, block, programs if language == "cpp" else projects)
                verdict = "compiled"
            elif language not in ("sh", "console"):
                fail(page, f"nothing holds a block of {language or 'no language'}:\n{block}")
                continue
            elif without_python or any(word in block for word in WITHOUT):
                verdict = "skipped, for want of Python, oneDNN or Gloo"
            else:
                for command, expected in commands_of(language, block):
                    check_command(page, shell, command, expected)
                verdict = "run"
            counts[verdict] = counts.get(verdict, 0) + 1


def check_headers(counts):
    programs = [SOURCE / "apps" / "header_examples.cpp"]
    for header in sorted(SOURCE.glob("include/**/*.h")):
        for block in comments.examples(header.read_text()):
            check_quotation(header, block, programs)
            counts["of headers compiled"] = counts.get("of headers compiled", 0) + 1


def check_programs():
    """A page runs each example, and each function of snippets.cpp."""
    snippets = SOURCE / "apps" / "snippets.cpp"
    text = "\n".join(page.read_text() for page in pages())
    run = {*re.findall(r"^[^`]*build/apps/snippets (\w+)$", text, re.M),
           *re.findall(r"^\$ [^`\n]*build/apps/examples/(\S+)", text, re.M)}
    functions = re.findall(r'\{"(\w+)", \1\}', snippets.read_text().partition("kSnippets")[2])
    for name in [*functions, *(example.stem for example in EXAMPLES)]:
        if name not in run:
            fail(snippets, f"no page runs {name}")


def check_figures():
    """The main page counts what the pages of its folders list, and what the tool knows."""
    text = " ".join((SOURCE / "README.md").read_text().split())
    modules = (SOURCE / "include" / "convkit" / "README.md").read_text().partition("\n## Modules")[2].partition("\n## ")[0]
    networks = subprocess.run([BUILD / "apps" / "convkit" / "convkit", "models", "--json"], check=True, capture_output=True)
    figures = [f"{len(re.findall(r'^. `(?!transforms::)', modules, re.M))} modules", f"{len(json.loads(networks.stdout))} networks"]
    header, _, *rows = re.search(r"^\| float32, batch 1 .*?(?=\n\n)", (SOURCE / "apps" / "bench" / "README.md").read_text(),
                                 re.M | re.S)[0].split("\n")
    for name, words in (("ONNX Runtime", "ONNX Runtime took {} to {} times as long"), ("OpenVINO", "OpenVINO {} to {} times"),
                        ("Python eager", "Python {} to {} times")):
        cells = " ".join(row.split("|")[header.split("|").index(f" {name} ")] for row in rows)
        ratios = [float(ratio) for ratio in re.findall(r"[\d.]+(?= \()", cells)]
        figures.append(words.format(f"{min(ratios):.2f}", f"{max(ratios):.2f}"))
    for figure in figures:
        if figure not in text:
            fail(SOURCE / "README.md", f"expected the words: {figure}")


def main():
    counts = {}
    for page in pages():
        check_page(page, counts)
    check_headers(counts)
    check_programs()
    check_figures()
    print(f"{len(pages())} pages;", "; ".join(f"{count} examples {verdict}" for verdict, count in sorted(counts.items())))
    if failures:
        sys.exit("\n\n".join(["", *failures]))


main()
