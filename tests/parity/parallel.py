"""Trains by several processes: parallel.py FOLDER

Starts itself by torchrun, with 2 and with 4 processes. Each writes what it has computed, NAME_WORLD_RANK.safetensors:
losses, a digest of every weight, buffer and gradient after every step, and all weights after the last.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

STEPS = {2: 6, 4: 3}


class Branches(nn.Module):
    """One of two branches by choice, an output that no loss uses, and a layer that nothing uses."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(600, 600)
        self.left = nn.Linear(600, 600)
        self.right = nn.Linear(600, 600)
        self.aside = nn.Linear(600, 5)
        self.unused = nn.Linear(7, 3)

    def forward(self, x, left):
        x = torch.relu(self.stem(x))
        y = self.left(x) if left else self.right(x)
        return y, self.aside(x)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def draw(shape, step, part, rank):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1000 * step + 10 * part + rank))


def labels(step, rank):
    return (torch.arange(4) * 3 + step + rank) % 10


def digest(tensor):
    if tensor is None:
        return -1
    bits = tensor.detach().contiguous().reshape(-1).view({4: torch.int32, 8: torch.int64}[tensor.element_size()]).long()
    return int((bits * (torch.arange(bits.numel()) * 2654435761 + 1)).sum())


def step_of_resnet18(ddp, optimizer, step, rank):
    loss = F.cross_entropy(ddp(draw((4, 3, 32, 32), step, 0, rank)), labels(step, rank))
    loss.backward()
    return loss


def step_of_branches(ddp, optimizer, step, rank):
    y, _ = ddp(draw((4, 600), step, 0, rank), (step + rank) % 2 == 0 or step == 2)
    loss = y.square().mean()
    loss.backward()
    return loss


def step_of_small(ddp, optimizer, step, rank):
    """Two batches whose gradients stay here, a forward without gradients, and two forwards in one backward."""
    for part in range(2):
        with ddp.no_sync():
            F.cross_entropy(ddp(draw((4, 3, 8, 8), step, part, rank)), labels(step, rank)).backward()
    if step == 1:
        with torch.no_grad():
            ddp(draw((4, 3, 8, 8), step, 2, rank))
    first = ddp(draw((4, 3, 8, 8), step, 3, rank))
    loss = F.cross_entropy(first + ddp(draw((4, 3, 8, 8), step, 4, rank)), labels(step, rank))
    loss.backward()
    return loss


def case_of(name):
    if name == "resnet18":
        import torchvision

        return torchvision.models.resnet18(), step_of_resnet18, {}
    if name == "branches":
        return Branches(), step_of_branches, {"find_unused_parameters": True}
    return Small(), step_of_small, {"broadcast_buffers": True} if name == "small" else {"broadcast_buffers": False}


def train(name, folder, steps):
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    torch.manual_seed(7 + rank)  # only the first process's weights are used
    model, step_of, options = case_of(name)
    ddp = nn.parallel.DistributedDataParallel(model, **options)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.05, momentum=0.9)
    losses, digests = [], []
    for step in range(steps):
        optimizer.zero_grad()
        losses.append(step_of(ddp, optimizer, step, rank).detach())
        gradients = [p.grad for p in ddp.parameters()]
        optimizer.step()
        digests.append([digest(t) for t in [*gradients, *ddp.state_dict().values()]])
    tensors = {f"last.{key}": value for key, value in ddp.state_dict().items()}
    tensors |= {"losses": torch.stack(losses), "digests": torch.tensor(digests)}
    save_file(tensors, folder / f"{name}_{world}_{rank}.safetensors")


def worker(folder, steps):
    import warnings

    warnings.simplefilter("ignore", FutureWarning)  # broadcast_buffers has another name from 2.13 on
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    for name in ("resnet18", "branches", "small", "apart"):
        train(name, folder, steps)
    torch.distributed.destroy_process_group()


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for world, steps in STEPS.items():
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        steps = int(os.environ.get("CONVKIT_PARALLEL_STEPS", steps))
        subprocess.run([*command, __file__, str(folder), str(steps)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        worker(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
