"""Holds classify and segment to Python's own pipeline: vision_test.py CLASSIFY SEGMENT CONVKIT"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, isort: skip

import numpy
import torch
from PIL import Image
from torchvision import models
from torchvision.transforms import functional

PHOTOGRAPHS = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images"


def run(program, *arguments, code=0):
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == code, (arguments, result)
    return result


def network(name, file, **options):
    """With random weights; the statistics of its norms are those of a batch, so that its outputs are alive."""
    torch.manual_seed(3)
    net = models.get_model(name, weights=None, **options)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0, 0.2)
    net.train()(torch.randn(8, 3, 96, 96))
    torch.save(net.state_dict(), file)
    return net.eval()


def album(folder):
    """Some photographs and crops of them, of all formats, and two files that are none."""
    for name in ["china", "flower"]:
        image = Image.open(PHOTOGRAPHS / f"{name}.jpg")
        (folder / f"{name}.jpg").write_bytes((PHOTOGRAPHS / f"{name}.jpg").read_bytes())
        (folder / "more").mkdir(exist_ok=True)
        image.crop((50, 20, 350, 300)).save(folder / "more" / f"{name}.png")
        image.crop((0, 20, 101, 300)).convert("L").save(folder / "more" / f"{name}.ppm")
        image.crop((0, 0, 300, 111)).convert("CMYK").save(folder / "more" / f"{name}.jpeg")
    (folder / "cut.jpg").write_bytes((PHOTOGRAPHS / "china.jpg").read_bytes()[:5000])
    (folder / "notes.txt").write_text("no image")
    images = sorted(str(path) for path in folder.rglob("*") if path.suffix in {".jpg", ".png", ".ppm", ".jpeg"})
    return [path for path in images if not path.endswith("cut.jpg")]


@torch.no_grad()
def check_classify(classify, folder):
    net = network("mobilenet_v2", folder / "net.pth")
    images = album(folder / "album")
    labels = [f"class {number}" for number in range(1000)]
    (folder / "labels.txt").write_text("\n".join(labels))
    preprocess = models.MobileNet_V2_Weights.DEFAULT.transforms()
    common = ("--model", "mobilenet_v2", "--weights", folder / "net.pth", "--labels", folder / "labels.txt", "--threads", 1)
    result = run(classify, folder / "album", *common, "--json", "--top", 3, code=2)
    assert result.stderr == f"classify: {folder / 'album' / 'cut.jpg'}: a damaged JPEG: it is cut short\n", result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == images, lines
    seen = set()
    for line in lines:
        probabilities = net(preprocess(Image.open(line["file"]).convert("RGB"))[None]).softmax(1)[0]
        values, numbers = probabilities.topk(3)
        expected = [{"class": int(number), "label": labels[number], "probability": float(value)}
                    for value, number in zip(values, numbers)]
        assert line["classes"] == expected, (line, expected)
        seen.add(expected[0]["probability"])
    assert len(seen) == len(images), seen

    text = run(classify, images[0], *common, "--top", 1).stdout.splitlines()
    assert text == [images[0], f"  {lines[0]['classes'][0]['probability']:.6f}  {lines[0]['classes'][0]['label']}"], text
    fast = [json.loads(line) for line in run(classify, images[0], images[1], *common, "--json", "--compiled").stdout.splitlines()]
    for line, plain in zip(fast, lines):
        assert line["classes"][0]["class"] == plain["classes"][0]["class"], (line, plain)
        assert abs(line["classes"][0]["probability"] - plain["classes"][0]["probability"]) < 1e-4, (line, plain)
    (folder / "few.txt").write_text("one\ntwo\n")
    for arguments, word in (
            (("--labels", folder / "few.txt"), "--labels: expected 1000 lines, one for each class, got 2"),
            (("--labels", folder / "none.txt"), "--labels: cannot open "),
            (("--preset", "IMAGENET1K_V9"), "preset: expected weights of mobilenet_v2"),
            (("--labels", folder), "--labels: cannot open "),
            (("--labels", os.devnull), "--labels: expected 1000 lines, one for each class, got 0"),
            (("--threads", 100000), "--threads: Value 100000 not in range 1 to 1024"),
            (("--top", 0), "--top: Value 0 not in range 1 to 1000000"),
            (("--num-classes", 5), "--weights "), (("--at", "model"), "load_checkpoint: ")):
        said = run(classify, images[0], "--model", "mobilenet_v2", "--weights", folder / "net.pth", *arguments, code=2)
        assert said.stdout == "" and word in said.stderr, said
    (folder / "empty").mkdir()
    said = run(classify, folder / "empty", images[0], *common, code=2)
    assert said.stderr == f"classify: {folder / 'empty'}: there is no image in it\n" and said.stdout.startswith(images[0]), said
    said = run(classify, images[0], "--model", "fcn_resnet50", "--weights", "a", code=2).stderr
    assert said == "classify: --model: expected a network for classification, got fcn_resnet50\n", said
    assert "the nearest are " in run(classify, images[0], "--model", "mobilenet", "--weights", "a", code=2).stderr


@torch.no_grad()
def check_segment(segment, folder):
    net = network("lraspp_mobilenet_v3_large", folder / "net.pth", weights_backbone=None)
    images = [PHOTOGRAPHS / "china.jpg", folder / "album" / "more" / "flower.png"]
    preprocess = models.segmentation.LRASPP_MobileNet_V3_Large_Weights.DEFAULT.transforms()
    common = ("--model", "lraspp_mobilenet_v3_large", "--weights", folder / "net.pth", "--threads", 1)
    text = run(segment, *images, *common, "-o", folder / "painted").stdout
    run(segment, *images, *common, "-o", folder / "masks", "--masks")
    for path in images:
        image = Image.open(path).convert("RGB")
        classes = net(preprocess(image)[None])["out"].argmax(1).to(torch.uint8)
        classes = functional.resize(classes, [image.height, image.width], functional.InterpolationMode.NEAREST)[0].numpy()
        assert len(numpy.unique(classes)) > 1
        assert numpy.array_equal(numpy.asarray(Image.open(folder / "masks" / f"{path.stem}.png")), classes)
        colors = numpy.array([[sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
                               for channel in range(3)] for number in range(21)])
        photograph = numpy.asarray(image).astype(int)
        mixed = numpy.where(classes[..., None] == 0, photograph, (photograph + colors[classes]) // 2)
        assert numpy.array_equal(numpy.asarray(Image.open(folder / "painted" / f"{path.stem}.png")), mixed), path
        share = 100 * (classes == classes[0, 0]).mean()
        assert f"  {share:6.2f} %  {classes[0, 0]}" in text.splitlines(), (share, text)


def check_the_rest_goes_on(classify, folder):
    """A file that cannot be looked at is named, and the others are looked at."""
    odd = folder / "odd"
    (odd / "b.jpg").mkdir(parents=True)
    (odd / "loop.jpg").symlink_to("loop.jpg")
    (odd / "gone.png").symlink_to("nowhere.png")
    Image.new("RGB", (20000, 1)).save(odd / "long.png")
    for name in ("a.jpg", "z.jpg"):
        (odd / name).write_bytes((PHOTOGRAPHS / "china.jpg").read_bytes())
    said = run(classify, odd, "--model", "mobilenet_v2", "--weights", folder / "net.pth", "--top", 1, code=2)
    assert [line for line in said.stdout.splitlines() if line.startswith("/")] == [str(odd / "a.jpg"), str(odd / "z.jpg")], said
    named = [line.split(": ")[1] for line in said.stderr.splitlines()]
    assert named == [str(odd / name) for name in ("gone.png", "long.png", "loop.jpg")], said
    assert "long.png: an image of 20000 x 1 pixels, of which the preset makes more than 178956970" in said.stderr, said


def check_names(segment, folder):
    """No image is written over another one."""
    place = folder / "names"
    place.mkdir()
    for name in ("photo-2.jpg", "photo.jpg", "photo.png"):
        Image.open(PHOTOGRAPHS / "flower.jpg").resize((64, 48)).save(place / name)
    before = (place / "photo.png").read_bytes()
    common = ("--model", "lraspp_mobilenet_v3_large", "--weights", folder / "net.pth", "--threads", 1)
    said = run(segment, place, *common, "-o", place, code=2)
    assert said.stdout == "" and "-o: expected another folder than " in said.stderr, said
    assert (place / "photo.png").read_bytes() == before and len(list(place.iterdir())) == 3
    written = [line.split(" -> ")[1] for line in run(segment, place, *common, "-o", folder / "out").stdout.splitlines()
               if " -> " in line]
    assert written == [str(folder / "out" / name) for name in ("photo-2.png", "photo.png", "photo-3.png")], written
    assert all(Path(name).exists() for name in written)
    (folder / "taken").mkdir()
    (folder / "taken" / "photo.png").mkdir()
    said = run(segment, place, *common, "-o", folder / "taken", code=2)
    assert said.stderr.startswith(f"segment: {place / 'photo.jpg'}: ") and (folder / "taken" / "photo-3.png").exists(), said
    said = run(segment, place, "--model", "resnet18", "--weights", "a", "-o", folder / "none", code=2)
    assert said.stderr == "segment: --model: expected a network for segmentation, got resnet18\n", said
    assert "-o: cannot make the folder " in run(segment, place, *common, "-o", "", code=2).stderr
    assert not (folder / "none").exists()


def check_compare(convkit, folder):
    """record.py and convkit compare make the same of a photograph, and of another one they do not."""
    photograph = PHOTOGRAPHS / "flower.jpg"
    record = Path(__file__).resolve().parents[1] / "convkit" / "record.py"
    run(sys.executable, record, "torchvision.models:squeezenet1_1", "--image", photograph, "--preset",
        "squeezenet1_1:IMAGENET1K_V1", "-o", folder / "photo.safetensors")
    common = ("compare", "squeezenet1_1", folder / "photo.safetensors")
    said = run(convkit, *common, "--image", photograph, "--preset", "squeezenet1_1:IMAGENET1K_V1").stdout.splitlines()
    assert said[0] == "image: equal" and said[-1] == "equal", said
    assert json.loads(run(convkit, *common, "--image", photograph, "--json").stdout)["image"]["equal"]
    said = run(convkit, *common, "--image", PHOTOGRAPHS / "china.jpg", code=1).stdout
    assert said.startswith("image: different: up to "), said


torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as place:
    place = Path(place)
    (place / "album").mkdir()
    check_classify(sys.argv[1], place)
    check_the_rest_goes_on(sys.argv[1], place)
    check_segment(sys.argv[2], place)
    check_names(sys.argv[2], place)
    check_compare(sys.argv[3], place)
print("classify and segment do what Python does")
