"""Writes what Python's DataLoader, samplers and ImageFolder give: data.py FOLDER.

The datasets draw random numbers, so that batches show who drew what, and when.
"""

import torchvision_operators  # noqa: F401, isort: skip

import json
import os
import random
import shutil
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.utils import data
from torchvision.datasets import ImageFolder

EPOCHS = 3

tensors = {}
draw = random.Random(1)


class Noisy(data.Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        x = torch.rand(3) + index
        if torch.randint(0, 2, (1,)).item():
            x = x + torch.randn(3)
        return x, index


def generator(seed):
    return None if seed is None else torch.Generator().manual_seed(seed)


def sampler_of(case, size, own):
    kind = case["sampler"]
    if kind == "random":
        return data.RandomSampler(range(size), replacement=case["replacement"], num_samples=case["num_samples"], generator=own)
    if kind == "subset":
        return data.SubsetRandomSampler(case["indices"], generator=own)
    if kind == "weighted":
        return data.WeightedRandomSampler(case["weights"], case["num_samples"], case["replacement"], generator=own)
    if kind == "distributed":
        return data.DistributedSampler(range(size), case["num_replicas"], case["rank"], case["shuffle"], case["sampler_seed"], case["drop"])
    return None


def sampler_case(size):
    kind = draw.choice(["none", "none", "shuffle", "shuffle", "random", "subset", "weighted", "distributed"])
    case = {"sampler": kind, "own_seed": None}
    if kind in ("random", "subset", "weighted"):
        case["own_seed"] = draw.choice([None, 3])
    if kind == "random":
        case["replacement"] = draw.random() < 0.5
        case["num_samples"] = draw.choice([None, 1, 7, 32, 64, 75, 2 * size])
    if kind == "subset":
        case["indices"] = draw.sample(range(size), draw.randint(0, size))
    if kind == "weighted":
        case["weights"] = [draw.random() for _ in range(size)]
        case["replacement"] = draw.random() < 0.5
        case["num_samples"] = draw.randint(1, size)
    if kind == "distributed":
        replicas = draw.randint(2, 4)
        case.update(num_replicas=replicas, rank=draw.randrange(replicas), shuffle=draw.random() < 0.7,
                    sampler_seed=draw.choice([0, 5, -3]), drop=draw.random() < 0.5)
    return case


def run(name, case):
    loading, own = generator(case["seed"]), generator(case["own_seed"])
    sampler = sampler_of(case, case["size"], own)
    torch.manual_seed(case["number"])
    loader = data.DataLoader(Noisy(case["size"]), batch_size=case["batch_size"], shuffle=case["sampler"] == "shuffle",
                             sampler=sampler, num_workers=case["num_workers"], drop_last=case["drop_last"], generator=loading,
                             prefetch_factor=case["prefetch_factor"] if case["num_workers"] else None)
    case["batches"] = len(loader)
    counts = []
    for epoch in range(EPOCHS):
        if case["sampler"] == "distributed":
            sampler.set_epoch(epoch)
        batches = []
        for batch in loader:
            batches.append(batch)
            if len(batches) == case["stop_after"]:
                break
        counts.append([len(y) for _, y in batches])
        if batches:
            tensors[f"{name}.{epoch}.x"] = torch.cat([x for x, _ in batches])
            tensors[f"{name}.{epoch}.y"] = torch.cat([y for _, y in batches])
        for key, state in (("default", torch.get_rng_state()), ("loading", loading and loading.get_state()), ("own", own and own.get_state())):
            if state is not None:
                tensors[f"{name}.{epoch}.{key}"] = state.clone()
    case["counts"] = counts


def loaders():
    cases = []
    for number in range(120):
        size = draw.randint(1, 40)
        workers = draw.choice([2, 3]) if number % 10 == 0 else 0
        case = {"number": number, "size": size, "batch_size": draw.randint(1, 8), "num_workers": workers,
                "prefetch_factor": draw.randint(1, 3), "drop_last": draw.random() < 0.4, "seed": draw.choice([None, 11]),
                "stop_after": draw.choice([None, None, None, 2]), **sampler_case(size)}
        run(f"loader.{number}", case)
        cases.append(case)
    return cases


def distributed():
    """Every rank's indices, of small sizes above all."""
    cases = []
    for size in (0, 1, 2, 3, 5, 8, 21):
        for replicas in (1, 2, 3, 4):
            for shuffle, drop in ((True, True), (True, False), (False, True), (False, False)):
                if size == 0 and not drop:
                    continue
                for rank in range(replicas):
                    sampler = data.DistributedSampler(range(size), replicas, rank, shuffle, 9, drop)
                    sampler.set_epoch(4)
                    cases.append({"size": size, "num_replicas": replicas, "rank": rank, "shuffle": shuffle, "drop": drop, "indices": list(sampler)})
    return cases


def splits():
    cases = []
    for number in range(60):
        size = draw.randint(1, 50)
        if draw.random() < 0.5:
            first = draw.randint(0, size)
            second = draw.randint(0, size - first)
            lengths = [first, second, size - first - second]
        else:
            lengths = draw.choice([[0.3, 0.3, 0.4], [0.5, 0.5], [0.9, 0.1], [0.25, 0.5, 0.25], [1], [0.0, 1.0], [1 / 3] * 3, [0.125] * 8])
        torch.manual_seed(number)
        seed = draw.choice([None, 4])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = data.random_split(range(size), lengths, **({} if seed is None else {"generator": generator(seed)}))
        cases.append({"number": number, "size": size, "lengths": lengths, "seed": seed, "parts": [part.indices for part in parts]})
    return cases


def folders(path):
    root = path / "images"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("b/2.png", "b/10.PNG", "b/1.JpEg", "b/.hidden.png", "b/.png", "b/notes.txt", "b/none", "b/x.png.bak",
                 "b/deep/er/z.webp", "b/deep-er/a.tiff", "b/deep/.dot/a.bmp", "b/deep.ppm/a.pgm", "b/D/a.tif", "B/a.jpg", "a b/c d.jpg",
                 ".dots/a.png", "\u00e9/\u00fc.png", "\u00e9/z.png", "z/only.jpeg", "loose.png", "elsewhere.txt"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    (root / "linked").symlink_to("b")
    (root / "b" / "link.png").symlink_to("2.png")
    (root / "b" / "broken.png").symlink_to("nowhere")
    (root / "z" / "round").symlink_to(".")
    (root / "empty" / "inside").mkdir(parents=True)
    cases = []
    here = os.getcwd()
    os.chdir(path)
    for given in ("images", "images/", str(path / "images")):
        folder = ImageFolder(given, allow_empty=True)
        cases.append({"root": given, "classes": folder.classes, "class_to_idx": folder.class_to_idx, "samples": folder.samples})
    os.chdir(here)
    return cases


def collated():
    examples = [(torch.full((2,), i), i, i / 3, i % 2 == 0, f"t{i}", [torch.tensor(i), torch.tensor(-i)], {"k": i}) for i in range(4)]
    tensor, whole, real, yes, text, pair, mapping = data.default_collate(examples)
    tensors.update({"collate.tensor": tensor, "collate.whole": whole, "collate.real": real, "collate.yes": yes,
                    "collate.first": pair[0], "collate.second": pair[1], "collate.map": mapping["k"]})


def main():
    torch.set_num_threads(1)
    path = Path(sys.argv[1]).resolve()
    path.mkdir(parents=True, exist_ok=True)
    manifest = {"loaders": loaders(), "distributed": distributed(), "splits": splits(), "folders": folders(path)}
    collated()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "data.safetensors")
    (path / "data.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
