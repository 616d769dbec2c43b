"""Trains by several processes: parallel.py FOLDER [STEPS]

With 2 and with 4 of them. Each writes what it has computed, NAME_WORLD_RANK.safetensors: losses, and a digest of every
gradient, weight and buffer after every step; the first one also writes all weights after the last.
With STEPS there are so many, and two processes alone.
"""

import multiprocessing
import socket
import sys
import warnings
from pathlib import Path

import torch
import torch._dynamo.utils  # what DistributedDataParallel imports when one is made
import torchvision_operators  # noqa: F401, isort: skip
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CASES = ("resnet18", "branches", "small", "apart")
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
    tensors = {"losses": torch.stack(losses), "digests": torch.tensor(digests)}
    if rank == 0:
        tensors |= ddp.state_dict()
    save_file(tensors, folder / f"{name}_{world}_{rank}.safetensors")


def worker(folder, steps, world, rank, port):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=world, rank=rank)
    for name in CASES:
        train(name, folder, steps)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main(folder, numbers):
    warnings.simplefilter("ignore", FutureWarning)  # broadcast_buffers has another name from 2.13 on
    folder.mkdir(parents=True, exist_ok=True)
    for world, steps in numbers.items():
        port = free_port()
        # Forked, since each would import torch for ten seconds.
        workers = [multiprocessing.get_context("fork").Process(target=worker, args=(folder, steps, world, rank, port)) for rank in range(world)]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        if any(process.exitcode for process in workers):
            sys.exit(f"{world} processes have failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), {2: int(sys.argv[2])} if len(sys.argv) == 3 else STEPS)
