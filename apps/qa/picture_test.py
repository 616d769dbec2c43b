"""picture_test.py APP: q2_kernels on its own picture, on a real photograph, and on bad files."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import sklearn.datasets
import torch
import torch.nn.functional as F
from PIL import Image

APP = os.path.abspath(sys.argv[1])
PHOTOGRAPH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chelsea.jpg")
SHOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "q2_kernels.png")


def run(*arguments):
    return subprocess.run([APP, *arguments], capture_output=True, text=True, timeout=60)


def check_sheet(file, *sizes):
    """Each of the 5 x 3 responses to each picture is one of its own: not blank, red and blue, unlike the others. Beside
    the pictures and above the responses are words and kernels."""
    sheet = np.asarray(Image.open(file)).astype(int)
    line, height, column = 24 * len(sizes), max(height for _, height in sizes), max(260, *(width for width, _ in sizes))
    group = 3 * (column + 16) + 16
    pictures_top = 16 + line + 8
    row_height = line + 42 + height + 48
    assert sheet.shape == (pictures_top + height + 32 + 5 * row_height, len(sizes) * group, 3), sheet.shape
    dark = (sheet == 40).all(-1)
    assert dark[:16 + line].sum() > 300 and dark[pictures_top:, 16 + column + 16:16 + 3 * column][:3 * line].sum() > 300
    responses = []
    for number, (width, own_height) in enumerate(sizes):
        shown = sheet[pictures_top:pictures_top + own_height, 16 + number * group:16 + number * group + width]
        assert (shown.max(-1) == shown.min(-1)).all() and shown.std() > 20, "no grey picture"
        for row in range(5):
            top = pictures_top + height + 32 + row * row_height
            assert number or dark[top:top + line].sum() > 200, "no name"
            for column_number in range(3):
                left = 16 + number * group + column_number * (column + 16)
                size = 3 + 2 * column_number
                pixel = 42 // size
                kernel = sheet[top + line:top + line + size * pixel, left:left + size * pixel][pixel // 2::pixel, pixel // 2::pixel]
                assert len(np.unique(kernel.reshape(-1, 3), axis=0)) > 2, "no kernel"
                assert dark[top + line:top + line + 42, left + 42:left + column].sum() > 50, "no size"
                response = sheet[top + line + 50:top + line + 50 + own_height, left:left + width]
                red_over_blue = response[..., 0] - response[..., 2]
                assert red_over_blue.max() > 100 and red_over_blue.min() < -100, (row, column_number)
                assert all(response.shape != other.shape or (response != other).any() for other in responses), (row, column_number)
                responses.append(response)
    return sheet


def check_refused(file, reason):
    result = run(file, "-o", "refused.png")
    assert result.returncode == 2 and result.stdout == "", result
    assert reason in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert not os.path.exists("refused.png")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    assert run().returncode == 0
    sheet = check_sheet("q2_kernels.png", (240, 160), (240, 159))
    # The photograph is the one that lies beside this file, made smaller by the mean of its pixels.
    with Image.open(PHOTOGRAPH) as image:
        photograph = torch.tensor(np.asarray(image.convert("L")), dtype=torch.float32)[None]
    smaller = F.adaptive_avg_pool2d(photograph, (159, 240))[0].numpy()
    found = sheet[72:72 + 159, 16 + 3 * 276 + 16:][:, :240, 0]
    assert abs(found - smaller).mean() < 1 and abs(found - smaller).max() < 6, abs(found - smaller).max()
    assert os.path.getsize(PHOTOGRAPH) < 40000 and os.path.exists(PHOTOGRAPH + ".license")
    drawn, shown = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in ("q2_kernels.png", SHOWN))
    # Another processor may round to the next shade.
    different = (drawn != shown).any(-1).mean() if drawn.shape == shown.shape else 1
    assert different < 0.0005 and abs(drawn - shown).max() <= 24, f"the README page shows another picture: {different}"

    photo = os.path.join(os.path.dirname(sklearn.datasets.__file__), "images", "china.jpg")
    assert run(photo, "--output", "photo.png").returncode == 0
    check_sheet("photo.png", (360, 427 * 360 // 640))

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
    response = np.asarray(Image.open("flat_responses.png")).astype(int)[355:553, 17:315]
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
    check_sheet("piped.png", (240, 160), (240, 159))

    result = run("-o", "no/such/folder.png")
    assert result.returncode == 2 and "cannot write no/such/folder.png: No such file" in result.stderr, result
    assert not [name for name in os.listdir(".") if name.endswith(".partial")]
print("q2_kernels: pictures as they should be")
