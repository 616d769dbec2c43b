"""Holds train to Python's own loop: train_test.py TRAIN [--long]

Without --long it takes less than a minute: losses of every step, resuming after kills, wrong command lines.
With --long, every optimizer trains five epochs and has to recognise the digits, 200 photographs are trained on, and a
training is killed a hundred times.
"""

import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import torchvision_operators  # noqa: F401, isort: skip

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = ("--train-crop-size", 32, "--val-resize-size", 36, "--val-crop-size", 32)
LR = {"sgd": 0.02, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 3e-4, "adagrad": 1e-2, "nadam": 1e-3, "radam": 1e-3}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
              "adagrad": torch.optim.Adagrad, "nadam": torch.optim.NAdam, "radam": torch.optim.RAdam}


def digits(folder, training, validation):
    """scikit-learn's digits as files of 32 x 32 pixels, in folders train and val, in a random order."""
    data = load_digits()
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(0)).tolist()
    for number, index in enumerate(order[:training + validation]):
        image = Image.fromarray((data.images[index] * 15.9).astype("uint8")).resize((32, 32), Image.Resampling.BICUBIC)
        place = folder / ("train" if number < training else "val") / str(data.target[index])
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{index:04}.png")


def photographs(folder):
    """200 crops of scikit-learn's two photographs as JPEG files for training, and 40 for validation."""
    images = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images"
    draw = random.Random(2)
    for name in ("china", "flower"):
        image = Image.open(images / f"{name}.jpg")
        for number in range(120):
            width, height = draw.randint(60, 240), draw.randint(60, 240)
            left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
            place = folder / ("train" if number < 100 else "val") / name
            place.mkdir(parents=True, exist_ok=True)
            image.crop((left, top, left + width, top + height)).save(place / f"{number:03}.jpg", quality=90)


def run(program, *arguments, code=0):
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == code, (arguments, result)
    return result


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def make_transforms(augment):
    end = [transforms.ToTensor(), v2.Normalize(MEAN, STD)]  # v2.ToDtype multiplies by 1 / 255, which rounds otherwise
    if augment == "none":
        plain = v2.Compose([v2.Resize((32, 32)), *end])
        return plain, plain
    crop = v2.Compose([v2.RandomResizedCrop(32), v2.RandomHorizontalFlip(0.5), *end])
    return crop, v2.Compose([v2.Resize(36), v2.CenterCrop(32), *end])


def make_optimizer(name, lr, net):
    extra = {"momentum": 0.9, "weight_decay": 1e-4} if name == "sgd" else {}
    return OPTIMIZERS[name](net.parameters(), lr=lr, **extra)


def train_in_python(folder, model, epochs, batch_size, lr, optimizer="sgd", augment="crop", warmup=0, seconds=None):
    """The loop of torchvision's reference; gives the lines that train prints, and the weights. Adds to `seconds`
    what each epoch's training takes."""
    training, validation = make_transforms(augment)
    images = DataLoader(ImageFolder(folder / "train", training), batch_size, shuffle=True, num_workers=2)
    looked = DataLoader(ImageFolder(folder / "val", validation), batch_size, num_workers=2)
    torch.manual_seed(0)
    net = models.get_model(model, weights=None, num_classes=len(images.dataset.classes))
    optimizer = make_optimizer(optimizer, lr, net)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs - warmup)
    if warmup:
        growing = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=warmup)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [growing, schedule], [warmup])
    lines = []
    for epoch in range(epochs):
        net.train()
        total, hits, seen = 0.0, 0, 0
        begun = time.monotonic()
        for x, y in images:
            logits = net(x)
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right = int((logits.argmax(1) == y).sum())
            lines.append({"loss": loss.item(), "accuracy": right / len(y), "lr": optimizer.param_groups[0]["lr"]})
            total, hits, seen = total + loss.item() * len(y), hits + right, seen + len(y)
        if seconds is not None:
            seconds.append(time.monotonic() - begun)
        lines.append({"loss": total / seen, "accuracy": hits / seen, "lr": optimizer.param_groups[0]["lr"]})
        net.eval()
        total, hits, seen = 0.0, 0, 0
        with torch.no_grad():
            for x, y in looked:
                logits = net(x)
                total += F.cross_entropy(logits, y).item() * len(y)
                hits, seen = hits + int((logits.argmax(1) == y).sum()), seen + len(y)
        lines[-1] |= {"val_loss": total / seen, "val_accuracy": hits / seen}
        schedule.step()
    return lines, net, optimizer, schedule


def check_equal(trees, path=""):
    """Of trees of lists, dicts, tensors and numbers."""
    one, other = trees
    assert isinstance(one, torch.Tensor) == isinstance(other, torch.Tensor), path
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), path
    elif isinstance(one, dict):
        assert list(one) == list(other), (path, list(one), list(other))
        for key in one:
            check_equal((one[key], other[key]), f"{path}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for number, pair in enumerate(zip(one, other)):
            check_equal(pair, f"{path}.{number}")
    else:
        assert one == other, (path, one, other)


def check_training(train, folder, output, model, epochs, batch_size, lr, optimizer="sgd", augment="crop", warmup=0):
    """Every line, and the last file, which Python's optimizer and network take."""
    expected, net, adam, schedule = train_in_python(folder, model, epochs, batch_size, lr, optimizer, augment, warmup)
    sizes = SMALL if augment == "crop" else SMALL[:2]
    flags = ("--model", model, "--epochs", epochs, "--batch-size", batch_size, "--lr", lr, "--optimizer", optimizer,
             "--augment", augment, "--lr-warmup-epochs", warmup, *sizes)
    lines = lines_of(run(train, folder, *flags, "--output", output, "--json", "--log-steps").stdout)
    assert len(lines) == len(expected), (len(lines), len(expected))
    for number, (line, values) in enumerate(zip(lines, expected)):
        assert line["images_per_second"] > 0
        assert {key: line[key] for key in values} == values, (number, line, values)
    assert len({line["loss"] for line in expected}) == len(expected), "the losses have to change"
    saved = torch.load(output / "last.pt", weights_only=True)
    check_equal((dict(saved["model"]), dict(net.state_dict())), "model")
    net.load_state_dict(saved["model"])
    adam.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    assert saved["epoch"] == epochs and saved["classes"] == sorted(place.name for place in (folder / "train").iterdir())
    best = max(line["val_accuracy"] for line in lines if "val_accuracy" in line)
    assert saved["best"] == torch.load(output / "best.pt", weights_only=True)["best"] == best
    return flags, lines


def check_kills(train, folder, output, flags, kills):
    """Ends it at so many random moments, and goes on until it has done its work: the file is that of a run that was left
    alone."""
    alone = Path(f"{output}_alone")
    command = [train, str(folder), *map(str, flags), "--checkpoint-every", "2", "--resume", "--output"]
    draw = random.Random(5)
    begun = time.monotonic()
    subprocess.run([*command, alone], check=True, capture_output=True)
    whole = time.monotonic() - begun
    killed, runs = 0, 0
    while killed < kills:
        runs += 1
        place = Path(f"{output}_{runs}")
        process = None
        while process is None or process.returncode != 0:
            process = subprocess.Popen([*command, place], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.wait(draw.uniform(0.15, 0.6) * whole if killed < kills else None)
                assert process.returncode == 0, process.stderr.read()
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        for name in ("last.pt", "best.pt"):
            check_equal([torch.load(path / name, weights_only=True) for path in (alone, place)], name)
    return f"{killed} kills of {runs} trainings"


def start_two(command, port):
    """Two processes, as torchrun starts them."""
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return [subprocess.Popen(command, env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in range(2)]


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def check_two(train, folder, output, flags):
    """Two processes take the images of a step by halves, and go on after the death of one. False without Gloo."""
    command = [train, str(folder), *map(str, flags), "--json", "--checkpoint-every", "2", "--output"]
    ends = [process.communicate() for process in start_two([*command, str(output)], free_port())]
    if "built without" in ends[0][1] or "Gloo" in ends[0][1]:
        return False
    lines = lines_of(ends[0][0])
    assert len(lines) == 2 and not ends[1][0], ends
    saved = torch.load(output / "last.pt", weights_only=True)
    assert len(saved["loaders"]) == 2 and 2 * saved["step"] >= saved["epoch"] * saved["images"] / 16
    states = [loader["generators"][0] for loader in saved["loaders"]]
    assert not torch.equal(*states), "each process draws numbers of its own"

    again = output.parent / "again"
    first, second = start_two([*command, str(again)], free_port())
    while not (again / "last.pt").exists() and first.poll() is None:
        time.sleep(0.01)
    second.kill()
    first.kill()
    first.communicate(), second.communicate()
    for process in start_two([*command, str(again), "--resume"], free_port()):
        _, words = process.communicate()
        assert process.returncode == 0, words
    check_equal((saved, torch.load(again / "last.pt", weights_only=True)), "two")
    one = run(train, folder, *flags, "--output", output, "--resume", code=2)
    assert one.stderr == f"train: {output}/last.pt: expected a training by 1 process(es), got one by 2\n", one
    return True


def check_words(train, folder, output):
    """Each wrong command line ends with one sentence and the code 2, before anything is written."""
    output.mkdir()
    (output / "list.json").write_text("[1]")
    (output / "unknown.json").write_text('{"sped": 1}')
    (output / "few").mkdir()
    common = (folder, "--model", "resnet18", "--output", output / "run", "--epochs", 2)
    for arguments, words in (
            ((*common, "--optimizer", "adam", "--momentum", 0.5), "train: --momentum: there is none with --optimizer adam"),
            ((*common, "--lr-gamma", 0.5), "train: --lr-gamma: there is none with --schedule cosine"),
            ((*common, "--augment", "none", "--hflip-prob", 0.5), "train: --hflip-prob: there is none with --augment none"),
            ((*common, "--lr-warmup-epochs", 2), "train: --lr-warmup-epochs: expected less than --epochs 2, got 2"),
            ((*common, "--lr-warmup-decay", 0.5), "train: --lr-warmup-decay: there is none with --lr-warmup-epochs 0"),
            ((*common, "--val", folder), "train: --val: expected the classes of "),
            ((*common[:1], "--model", "resnet", *common[3:]), "the nearest are "),
            ((*common[:1], "--model", "fcn_resnet50", *common[3:]),
             "train: --model: expected a network for classification, got fcn_resnet50"),
            ((output / "few", *common[1:]), "train: ImageFolder: expected a folder for each class in "),
            ((*common, "--weights", output / "list.json"), "train: load_checkpoint: "),
            ((*common, "--config", output / "list.json"), "--config: expected a file with an object of JSON"),
            ((*common, "--config", output / "unknown.json"), "sped"),
            ((*common, "--batch-size", 0), "--batch-size: "),
            ((*common, "--lr-min", "nan"), "--lr-min: expected a finite number, got nan"),
            ((*common, "--seed", 2**64 - 1), "--seed: "),
            ((folder / "train", *common[1:], "--val-crop-size", 32), "train: --val-crop-size: there is none with no --val"),
            ((*common, "--schedule", "cos"), "--schedule: "),
            (common[:3], "--output is required")):
        said = run(train, *arguments, code=2)
        assert said.stdout == "" and words in said.stderr, (arguments, said)
        assert not (output / "run").exists(), arguments
    odd = output / "odd"
    for name in (b"a", b"\xff"):
        place = Path(os.fsdecode(os.path.join(os.fsencode(odd), name)))
        place.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / "1.png")
    said = run(train, odd, *common[1:], code=2)
    assert "expected folders with names in UTF-8" in said.stderr and not (output / "run").exists(), said


def check_resume_words(train, folder, output, flags):
    """A training goes on with its own flags alone; --config gives them too, and the command line wins."""
    again = run(train, folder, *flags, "--output", output, code=2)
    assert again.stderr == f"train: --output: {output} has a training already: --resume goes on with it\n", again
    other = run(train, folder, *flags, "--seed", 3, "--output", output, "--resume", code=2)
    assert other.stderr == f"train: {output}/last.pt: expected --seed 0, as the training began, got 3\n", other
    config = output.parent / "config.json"
    recipe = torch.load(output / "last.pt", weights_only=True)["recipe"]
    config.write_text(json.dumps(json.loads(recipe) | {"seed": 7}))
    said = run(train, folder, "--config", config, "--output", output, "--resume", code=2)
    assert "expected --seed 0, as the training began, got 7" in said.stderr, said
    run(train, folder, "--config", config, "--seed", 0, "--output", output, "--resume")

    # What a kill has left goes; a file that was damaged, and other images, are refused.
    (output / ".convkit-1.partial").write_text("half")
    run(train, f"{folder}/", *flags, "--output", output, "--resume")
    assert not (output / ".convkit-1.partial").exists()
    good = torch.load(output / "last.pt", weights_only=True)
    for name, value, words in (("epoch", -1, "expected an epoch and a step from 0 to "),
                               ("schedule", good["schedule"] | {"T_max": 0}, "expected a whole number T_max >= 1, got 0")):
        torch.save(good | {name: value}, output / "last.pt")
        said = run(train, folder, *flags, "--output", output, "--resume", code=2)
        assert words in said.stderr, said
    torch.save(good, output / "last.pt")
    image = next((folder / "train" / "0").iterdir())
    image.rename(image.with_name("zzz.png"))
    said = run(train, folder, *flags, "--output", output, "--resume", code=2)
    assert "got one with other names or classes of them" in said.stderr, said
    image.with_name("zzz.png").rename(image)


def check_long(train, place):
    """Five epochs with each optimizer, which recognise the digits; photographs; a hundred kills."""
    digits(place / "digits", 1497, 300)
    accuracies = {}
    for name, lr in LR.items():
        _, lines = check_training(train, place / "digits", place / f"run_{name}", "resnet18", 5, 32, lr, name, "none", 1)
        print(f"{name}: 5 epochs as in Python, {lines[-1]}", flush=True)
        accuracies[name] = lines[-1]["val_accuracy"]
    assert min(accuracies.values()) > 0.97, accuracies
    photographs(place / "photographs")
    _, lines = check_training(train, place / "photographs", place / "run", "resnet18", 5, 16, 0.02)
    print(f"photographs: 5 epochs as in Python, {lines[-1]}", flush=True)
    digits(place / "few", 150, 40)
    flags = ("--model", "squeezenet1_1", "--epochs", 4, "--batch-size", 16, "--lr", 1e-3, "--optimizer", "adam", *SMALL)
    print(check_kills(train, place / "few", place / "killed", flags, 100))


def main(train, folder, long):
    torch.set_num_threads(1)
    if long:
        check_long(train, folder)
        return
    digits(folder / "digits", 150, 40)
    flags, _ = check_training(train, folder / "digits", folder / "run", "mobilenet_v3_small", 2, 16, 0.02)
    check_training(train, folder / "digits", folder / "adamw", "squeezenet1_1", 2, 32, 1e-3, "adamw", "none", 1)
    killed = check_kills(train, folder / "digits", folder / "killed", flags, 2)
    check_resume_words(train, folder / "digits", folder / "run", flags)
    two = check_two(train, folder / "digits", folder / "two", flags)
    check_words(train, folder / "digits", folder / "words")
    print(f"train does what Python does, after {killed} too, {'and with two processes' if two else 'not tried with two processes'}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1], Path(temporary), "--long" in sys.argv)
