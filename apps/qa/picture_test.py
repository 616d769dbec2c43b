"""picture_test.py APP: q2_kernels on its own picture, on a real photograph, and on bad files."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import sklearn.datasets
from PIL import Image

APP = os.path.abspath(sys.argv[1])
SHOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "q2_kernels.png")


def run(*arguments):
    return subprocess.run([APP, *arguments], capture_output=True, text=True, timeout=60)


def check_sheet(file, width, height):
    """Each of the 5 x 3 responses is a picture of its own: not blank, red and blue, unlike the others."""
    sheet = np.asarray(Image.open(file)).astype(int)
    column_width = max(width, 270)
    assert sheet.shape == (52 + 6 * (height + 52), 16 + 3 * (column_width + 16), 3), sheet.shape
    responses = []
    for row in range(1, 6):
        for column in range(3):
            top, left = 52 + row * (height + 52), 16 + column * (column_width + 16)
            response = sheet[top:top + height - 40, left:left + width]
            red_over_blue = response[..., 0] - response[..., 2]
            assert red_over_blue.max() > 100 and red_over_blue.min() < -100, (row, column)
            assert all((response != other).any() for other in responses), (row, column)
            responses.append(response)


def check_refused(file, reason):
    result = run(file, "-o", "refused.png")
    assert result.returncode == 2 and result.stdout == "", result
    assert reason in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert not os.path.exists("refused.png")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    assert run().returncode == 0
    check_sheet("q2_kernels.png", 240, 160)
    drawn, shown = (np.asarray(Image.open(file)).astype(int) for file in ("q2_kernels.png", SHOWN))
    # Another processor may round a colour the other way.
    assert abs(drawn - shown).max() <= 2, "the README page shows another picture"

    photo = os.path.join(os.path.dirname(sklearn.datasets.__file__), "images", "china.jpg")
    assert run(photo, "--output", "photo.png").returncode == 0
    check_sheet("photo.png", 360, 427 * 360 // 640)

    Image.open(photo).crop((0, 0, 9, 8)).save("tiny.png")
    assert run("tiny.png", "-o", "tiny_responses.png").returncode == 0
    with open("text.png", "w") as file:
        file.write("no picture\n")
    check_refused("text.png", "cannot read 'text.png' as PNG or JPEG")
    check_refused("missing.png", "cannot read 'missing.png': No such file")
    with open(photo, "rb") as whole, open("cut.jpg", "wb") as cut:
        cut.write(whole.read(300))
    check_refused("cut.jpg", "cannot read 'cut.jpg'")
    Image.new("L", (90, 10)).save("wide.png")
    check_refused("wide.png", "expected sides of at most 6 : 1, got 90 x 10")
    check_refused(".", "cannot read '.'")

    # A flat picture has no response, and rounding is none.
    Image.new("L", (150, 100), 200).save("flat.png")
    assert run("flat.png", "-o", "flat_responses.png").returncode == 0
    response = np.asarray(Image.open("flat_responses.png")).astype(int)[252 + 52:, 60:256][:100]
    assert (response > 240).all(), "rounding is drawn as a response"

    # The old file or the new one, and no device replaced by a file.
    with open("old.png", "w") as file:
        file.write("old")
    small = f"trap '' XFSZ; ulimit -f 4; exec {APP} -o old.png"
    result = subprocess.run(["bash", "-c", small], capture_output=True, text=True)
    assert result.returncode == 2 and open("old.png").read() == "old", result
    os.symlink("old.png", "link.png")
    assert run("-o", "link.png").returncode == 0
    assert os.path.islink("link.png") and os.path.getsize("old.png") > 10000
    os.mkfifo("pipe")
    with open("piped.png", "wb") as piped, subprocess.Popen(["cat", "pipe"], stdout=piped):
        assert run("-o", "pipe").returncode == 0
    check_sheet("piped.png", 240, 160)

    result = run("-o", "no/such/folder.png")
    assert result.returncode == 2 and "cannot write no/such/folder.png: No such file" in result.stderr, result
    assert not [name for name in os.listdir(".") if name.endswith(".partial")]
print("q2_kernels: pictures as they should be")
