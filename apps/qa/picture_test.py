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
    return subprocess.run([APP, *arguments], capture_output=True, text=True)


def check_sheet(file, width, height):
    """Each of the 5 x 3 responses is a picture of its own: not blank, red and blue, unlike the others."""
    sheet = np.asarray(Image.open(file)).astype(int)
    assert sheet.shape == (52 + 6 * (height + 52), 16 + 3 * (width + 16), 3), sheet.shape
    responses = []
    for row in range(1, 6):
        for column in range(3):
            top, left = 52 + row * (height + 52), 16 + column * (width + 16)
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
    check_refused("missing.png", "cannot read 'missing.png' as PNG or JPEG")
    with open(photo, "rb") as whole, open("cut.jpg", "wb") as cut:
        cut.write(whole.read(300))
    check_refused("cut.jpg", "cannot read 'cut.jpg'")
    result = run("-o", "no/such/folder.png")
    assert result.returncode == 2 and "cannot write 'no/such/folder.png'" in result.stderr, result
    assert not [name for name in os.listdir(".") if name.endswith(".partial")]
print("q2_kernels: pictures as they should be")
