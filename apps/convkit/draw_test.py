"""draw_test.py CONVKIT: `convkit draw` against real convolutions, wrong values, and the Q&A's pictures."""

import itertools
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F

from drawn import SVG, Drawn

warnings.filterwarnings("ignore", message="Using padding='same'")  # for even kernels
TOOL = os.path.abspath(sys.argv[1])
QA = Path(__file__).resolve().parent.parent / "qa"


def draw(*arguments, code=0):
    result = subprocess.run([TOOL, "draw", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert result.returncode == code and result.stdout == "", (arguments, result)
    return result


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def arguments_of(kind, settings):
    result = [kind]
    for name, value in settings.items():
        both = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, tuple) else value
        result += [f"--{name.replace('_', '-')}", both]
    return result


def reached(kind, settings):
    """[input cells, output rows, output columns]: where the derivative by each input cell is not zero."""
    height, width = pair(settings["input"])
    kernel, stride, dilation = (pair(settings.get(name, default)) for name, default in
                                (("kernel", 3), ("stride", 1), ("dilation", 1)))
    padding = settings.get("padding", 0)
    padding = padding if isinstance(padding, str) else pair(padding)
    x = torch.eye(height * width, dtype=torch.float64).reshape(-1, 1, height, width)
    weight = torch.rand(1, 1, *kernel, dtype=torch.float64) + 0.5
    if kind == "transposed":
        return F.conv_transpose2d(x, weight, None, stride, padding, pair(settings.get("output_padding", 0)), 1,
                                  dilation)[:, 0] != 0
    if padding == "same" and max(stride) > 1:  # torch has it for a stride of 1 alone
        total = [max((math.ceil(i / s) - 1) * s + d * (k - 1) + 1 - i, 0)
                 for i, k, s, d in zip((height, width), kernel, stride, dilation)]
        x, padding = F.pad(x, (total[1] // 2, (total[1] + 1) // 2, total[0] // 2, (total[0] + 1) // 2)), 0
    return F.conv2d(x, weight, None, stride, padding, dilation)[:, 0] != 0


def check_words(drawn, kind, settings, output):
    sizes = " × ".join(map(str, pair(settings["input"]))), " × ".join(map(str, output))
    assert f"Input {sizes[0]}" in drawn.words and f"Output {sizes[1]}" in drawn.words, drawn.words
    assert "Kernel " + " × ".join(map(str, pair(settings.get("kernel", 3)))) in drawn.words
    lines = [text.text for text in drawn.texts if text.get("class") == "numbers"]
    results = []
    for line in lines:  # each formula with its numbers gives what is printed
        left, right = re.fullmatch(r"(?:= |height: |width: )(.*) = (\d+(?:: \d+ before, \d+ after)?)", line).groups()
        value, *around = map(int, re.findall(r"\d+", right))
        assert value == eval(left.translate({ord("·"): "*", ord("−"): "-"}), {"floor": math.floor, "ceil": math.ceil}), line
        if around:
            assert sum(around) == value and around[1] - around[0] in (0, 1), line
        else:
            results.append(value)
    assert (results * 2 if len(results) == 1 else results) == list(output), (lines, output)
    title, description = (drawn.root.find(SVG + name).text for name in ("title", "desc"))
    assert sizes[0] in title and sizes[1] in title and title in drawn.words
    assert all(line in description for line in lines)


def check_place(drawn):
    """Nothing is cut off, and no text runs into another."""
    boxes = list(drawn.text_boxes())
    for left, top, right, bottom in boxes:
        assert left >= 10 and top >= 10 and right <= drawn.width - 10 and bottom <= drawn.height - 10, drawn.words
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b, drawn.words)
    for left, top, width, height in [box for name in ("input", "output", "unread") for box in drawn.cells(name).values()]:
        assert left >= 10 and top >= 10 and left + width <= drawn.width - 10 and top + height <= drawn.height - 10
        assert width == height >= 5


def check_steps(drawn, kind, reach, input_size, output):
    transposed = kind == "transposed"
    inner, places = ("output", "input") if transposed else ("input", "output")
    canvas = {**drawn.cells(inner), **drawn.cells("unread")}
    grid = drawn.cells(places)
    assert len(canvas) == (reach[0].numel() if transposed else len(reach))
    assert list(grid) == list(itertools.product(*map(range, input_size if transposed else output)))
    assert len(drawn.steps) == len(grid)
    by_box = {box: cell for cell, box in canvas.items()}
    boxes = set(by_box) | set(drawn.outside())
    # [steps, rows, columns] of the grid on which the kernel moves
    seen = reach if transposed else reach.flatten(1).t().reshape(-1, *input_size)
    assert {cell for cell in canvas if not seen[:, cell[0], cell[1]].any()} == set(drawn.cells("unread"))
    assert any("never" in word for word in drawn.words) == bool(drawn.cells("unread"))
    for step, (cell, box) in enumerate(grid.items()):
        tapped = drawn.tapped(step)
        assert boxes.issuperset(tapped), (step, tapped)
        found = sorted(by_box[box] for box in tapped if box in by_box)
        assert found == sorted(map(tuple, seen[step].nonzero().tolist())), (step, found)
        assert drawn.marked(step) == box, (step, cell)
    return seen


def check_filling(drawn, kind, seen):
    """Every third step, and the last; then the picture without animation, which is one of the steps."""
    count = len(drawn.steps)
    order = {cell: index for index, cell in enumerate(drawn.cells("output"))}
    first, last = {}, {}  # the steps that change a cell
    for cell in drawn.opacities():
        steps = [order[cell]] if kind == "conv" else seen[:, cell[0], cell[1]].nonzero().flatten().tolist()
        first[cell], last[cell] = steps[0], steps[-1]
    for step in sorted({*range(0, count, 3), count - 1}):
        expected = {cell: 0 if step < first[cell] else 0.35 if step < last[cell] else 1 for cell in first}
        assert drawn.opacities(step) == expected, step
    assert all(value == 1 for value in drawn.opacities(count - 1).values())
    still = [step for step in range(count) if drawn.moved_by(drawn.marker, step) == drawn.moved_by(drawn.marker)]
    assert len(still) == 1 and drawn.moved_by(drawn.window, still[0]) == drawn.moved_by(drawn.window), still
    assert drawn.opacities(still[0]) == drawn.opacities()


def check(kind, **settings):
    draw(*arguments_of(kind, settings), "-o", "picture.svg")
    drawn = Drawn(Path("picture.svg").read_text())
    reach = reached(kind, settings)
    output = tuple(reach.shape[1:])
    check_words(drawn, kind, settings, output)
    check_place(drawn)
    seen = check_steps(drawn, kind, reach, pair(settings["input"]), output)
    assert len(drawn.cells("filled")) == (int(seen.any(0).sum()) if kind == "transposed" else output[0] * output[1])
    check_filling(drawn, kind, seen)
    return drawn


def check_chosen():
    check("conv", input=7, kernel=3, stride=2, padding=1, dilation=1)
    check("conv", input=1, kernel=1)
    check("conv", input=(4, 34), kernel=(3, 5), stride=(1, 2), padding=(1, 2), dilation=(1, 2))
    check("conv", input=(36, 3), kernel=(5, 3), padding=(0, 1), stride=(2, 1))
    check("conv", input=38, kernel=3, stride=3, padding=1)
    check("conv", input=5, kernel=1, stride=99)
    check("transposed", input=4, kernel=4, stride=2, padding=1)
    check("transposed", input=16, kernel=4, stride=2, padding=1)
    check("transposed", input=3, kernel=2, stride=5, output_padding=4)  # no input reaches some outputs
    check("transposed", input=6, kernel=3, stride=1, padding=3)  # more than dilation (kernel - 1)
    check("transposed", input=(2, 3), kernel=(3, 2), stride=(3, 2), padding=(4, 0), dilation=(3, 1), output_padding=(2, 1))
    check("transposed", input=1, kernel=1, dilation=3, padding=1, output_padding=2)  # all of it is output padding
    uneven = check("conv", input=8, kernel=3, stride=2, padding="same")
    assert uneven.words.count("0") == uneven.words.count("+1") == 2 and "padded to 9 × 9" in uneven.words
    assert any(words.endswith("= 1: 0 before, 1 after") for words in uneven.words)
    assert "input never read" in check("conv", input=8, kernel=3, stride=2, padding="valid").words


def check_random(count):
    random.seed(0)
    for index in range(count):
        kind = ("conv", "transposed")[index % 2]
        both = lambda low, high: (random.randint(low, high), random.randint(low, high))
        settings = {"kernel": both(1, 5), "stride": both(1, 4), "dilation": both(1, 3)}
        span = [d * (k - 1) + 1 for k, d in zip(settings["kernel"], settings["dilation"])]
        if kind == "conv":
            settings["input"] = tuple(random.randint(s, s + 6) for s in span)
            settings["padding"] = random.choice(("same", "valid", both(0, 3), random.randint(0, 3)))
        else:
            settings["input"] = both(1, 6)
            bounds = [max(s, d) - 1 for s, d in zip(settings["stride"], settings["dilation"])]
            settings["output_padding"] = tuple(random.randint(0, bound) for bound in bounds)
            sizes = [(i - 1) * s + e + p for i, s, e, p in
                     zip(settings["input"], settings["stride"], span, settings["output_padding"])]
            settings["padding"] = tuple(random.randint(0, min(5, (size - 1) // 2)) for size in sizes)
        check(kind, **settings)


def check_refused():
    for words, arguments in (
            ("KIND: expected conv, transposed, network or field, got pool", "pool --input 7"),
            ("--input: expected numbers from 1 to 99, as in 7 or 7,9, got 0", "conv --input 0"),
            ("--input: expected numbers", "conv --input 7x7"),
            ("--input: expected numbers", "conv --input 7,"),
            ("--input: expected numbers", "conv --input 7,7,7"),
            ("--input: expected numbers", "conv --input 100000000000000000000"),
            ("--kernel: expected numbers", "conv --input 7 --kernel 3,0"),
            ("--stride: expected numbers from 1 to 99, as in 7 or 7,9, got 0", "conv --input 7 --stride 0"),
            ("--dilation: expected numbers", "conv --input 7 --dilation -1"),
            ("--padding: expected numbers from 0 to 99, as in 7 or 7,9, or same, or valid, got full", "conv --input 7 --padding full"),
            ("--padding: expected numbers from 0 to 99, as in 7 or 7,9, got same", "transposed --input 7 --padding same"),
            ("--padding: expected numbers", "transposed --input 7 --padding -1"),
            ("--output-padding: expected none for conv, got 1", "conv --input 7 --output-padding 1"),
            ("--kernel: expected at most 3 cells of width, the padded input's, got 3 with --dilation 2, which spans 5",
             "conv --input 7,3 --dilation 2"),
            ("--kernel: expected at most 2 cells", "conv --input 2 --padding valid"),
            ("--output-padding: expected a height below 2, the larger one of --stride and --dilation, got 2",
             "transposed --input 7 --stride 2 --output-padding 2"),
            ("--padding: expected a width of at most 4, which leaves an output, got 5", "transposed --input 7 --padding 4,5"),
            ("--input: expected a picture of at most 40 cells a side, with the padding, got 41 x 9",
             "conv --input 39,7 --padding 1 --stride 3"),
            ("--input: expected a picture of at most 40 cells a side, with what is cropped, got 41 x 41",
             "transposed --input 20 --stride 2"),
            ("--input: expected at most 256 steps, one for each cell of the output, got 289", "conv --input 17 --padding 1"),
            ("--input: expected at most 256 steps, one for each cell of the input, got 289", "transposed --input 17 --padding 1"),
    ):
        result = draw(*arguments.split(), "-o", "refused.svg", code=2)
        assert result.stderr.startswith("convkit: " + words) and result.stderr.count("\n") == 1, (words, result.stderr)
        assert not Path("refused.svg").exists()
    for arguments in ("conv --input 7", "conv -o refused.svg", "--input 7 -o refused.svg", "conv --input 7 -o refused.svg --x"):
        assert draw(*arguments.split(), code=2).stderr and not Path("refused.svg").exists()
    result = draw("conv", "--input", "7\x1b[31m", "-o", "refused.svg", code=2)
    assert "\x1b" not in result.stderr


def check_written():
    """The old file or the new one, and no other."""
    draw("conv", "--input", 5, "-o", "old.svg")
    old = Path("old.svg").read_bytes()
    small = subprocess.run(["bash", "-c", f"trap '' XFSZ; ulimit -f 4; exec {TOOL} draw transposed --input 9 -o old.svg"],
                           capture_output=True, text=True)
    assert small.returncode == 2 and "cannot write old.svg: " in small.stderr and Path("old.svg").read_bytes() == old, small
    draw("conv", "--input", 6, "--output", "old.svg")
    assert Path("old.svg").read_bytes() != old
    draw("conv", "--input", 5, "-o", "-")
    assert Path("-").read_bytes() == old
    piped = subprocess.run([TOOL, "draw", "conv", "--input", "5", "-o", "/dev/stdout"], capture_output=True)
    assert piped.returncode == 0 and piped.stdout == old, piped
    full = subprocess.run([TOOL, "draw", "conv", "--input", "5", "-o", "/dev/full"], capture_output=True, text=True)
    assert full.returncode == 2 and full.stderr == "convkit: cannot write /dev/full: No space left on device\n", full
    Path("old.svg").chmod(0o600)
    Path("link.svg").symlink_to("old.svg")
    draw("conv", "--input", 5, "-o", "link.svg")
    assert Path("link.svg").is_symlink() and Path("old.svg").read_bytes() == old and Path("old.svg").stat().st_mode & 0o777 == 0o600
    result = draw("conv", "--input", 5, "-o", "no/such.svg", code=2)
    assert result.stderr == "convkit: cannot write no/such.svg: No such file or directory\n", result
    assert draw("conv", "--input", 5, "-o", ".", code=2).stderr.startswith("convkit: cannot write .: ")
    assert not list(Path().glob(".*partial"))


def check_page():
    """The Q&A's page shows what the commands beside its pictures draw."""
    page = (QA / "README.md").read_text()
    commands = re.findall(r"convkit draw ([^`\n]*) -o (pictures/\S+\.svg)", page)
    stored = {f"pictures/{file.name}" for file in (QA / "pictures").iterdir()}
    assert {file for _, file in commands} == stored == set(re.findall(r"\]\((pictures/[^)]*)\)", page)), (commands, stored)
    for arguments, file in commands:
        draw(*arguments.split(), "-o", "shown.svg")
        assert Path("shown.svg").read_bytes() == (QA / file).read_bytes(), f"{file} is not what `convkit draw {arguments}` draws"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check_chosen()
    check_random(60)
    check_refused()
    check_written()
    check_page()
print("draw: pictures as they should be")
