"""render_test.py CONVKIT: pictures of `convkit draw` in headless Chromium; exits with 77 where there is none."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TOOL = os.path.abspath(sys.argv[1])
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    print("skipped: no chromium, chromium-browser or google-chrome (Debian: chromium)")
    sys.exit(77)


def screenshot(svg, *flags):
    """The pixels of a picture that stands still."""
    Path("shown.svg").write_text(svg)
    width, height = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups()
    subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=profile",
                    "--force-device-scale-factor=1", *flags, "--screenshot=shown.png", f"--window-size={width},{height}",
                    "file://" + os.path.abspath("shown.svg")], check=True, capture_output=True, timeout=120)
    pixels = np.asarray(Image.open("shown.png").convert("RGB")).astype(int)
    os.remove("shown.png")
    assert pixels.shape == (int(height), int(width), 3), pixels.shape
    return pixels


def paused_at(svg, step):
    """The picture in the middle of a step."""
    duration = int(re.search(r"animation-duration:(\d+)ms", svg)[1])
    marks = [float(mark) for mark in re.findall(r"([\d.]+)%", re.search(r"@keyframes marker\{.*\}", svg)[0])]
    time = duration * (marks[step] + marks[step + 1]) / 200
    return svg.replace("animation-delay:0ms", f"animation-delay:-{time:.0f}ms;animation-play-state:paused")


def near(pixels, color):
    return (abs(pixels - np.array(color)) <= 30).all(-1)


def greens(pixels):
    return near(pixels, (0, 158, 115)).sum()


def check(*arguments):
    subprocess.run([TOOL, "draw", *arguments, "-o", "picture.svg"], check=True)
    svg = Path("picture.svg").read_text()
    early, late = (screenshot(paused_at(svg, step)) for step in (0, 3))
    for pixels in (early, late):
        assert near(pixels, (0xe9, 0xb2, 0x3c)).sum() + near(pixels, (0xdf, 0xb4, 0x4c)).sum() > 200, "no taps"
        assert near(pixels, (0xcf, 0xe4, 0xf5)).sum() > 200, "no input"
        assert near(pixels, (0x22, 0x22, 0x22)).sum() > 200, "no words"
        frame = np.ones(pixels.shape[:2], bool)
        frame[10:-10, 10:-10] = False
        assert (pixels[frame] == 255).all(), "something is cut off"
    assert greens(late) > greens(early) and (early != late).any(-1).sum() > 500, "nothing moves"

    # Without motion the picture is the one that a program without animations shows.
    still = screenshot(re.sub(r' class="moving" style="[^"]*"', "", svg))
    reduced = screenshot(svg, "--force-prefers-reduced-motion")
    assert (still == reduced).all() and (still != early).any()


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check("conv", "--input", "8", "--stride", "2", "--padding", "same")
    check("conv", "--input", "9,7", "--kernel", "3,2", "--dilation", "2", "--padding", "valid")
    check("conv", "--input", "4,34", "--kernel", "3,5", "--padding", "1,2")
    check("transposed", "--input", "4", "--kernel", "4", "--stride", "2", "--padding", "1")
    check("transposed", "--input", "3,4", "--stride", "3,2", "--output-padding", "2,1")
print("draw: Chromium shows and moves the pictures")
