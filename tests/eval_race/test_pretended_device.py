"""The pretended device finds what CUDA would refuse, counts what CUDA would wait for, and lets pass what CUDA lets pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eval.gpu.pretended_device import DEVICE, MixedDevicesError, pretended_device
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.sparse_voxels import SparseVoxels

TABLE = torch.tensor([2, 0, 1])  # as a cached table of indices would be
HALVES = np.full(3, 0.5, np.float32)


class Forgetful(nn.Module):
    """Its table is no buffer, so that `.to` leaves it behind."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.offsets = nn.Linear(3, 3), torch.zeros(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.offsets


class MadeInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient + torch.ones(3)


def into_the_cpu(x: Tensor) -> None:
    host = torch.zeros(3)
    host[torch.tensor([0, 2])] = x[:2]


FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "made without a device": lambda x: x + torch.arange(3),
    "joined with what was made without a device": lambda x: torch.cat((x, torch.zeros(1))),
    "a cached table of indices": lambda x: x.index_select(0, TABLE),
    "a constant from numpy": lambda x: x * torch.from_numpy(HALVES),
    "given to numpy": lambda x: np.asarray(x),
    "a generator of the CPU": lambda x: torch.rand(3, device=x.device, generator=torch_generator(0)),
    "a table that is no buffer": lambda x: Forgetful().to(x.device)(x),
    "the CPU's values at the device's places": lambda x: torch.zeros(3)[x.long()],
    "written into the CPU's memory": into_the_cpu,
    "made in a backward": lambda x: MadeInBackward.apply(x.clone().requires_grad_()).sum().backward(),
    "a mask of the CPU": lambda x: x.masked_fill(torch.tensor([True, False, True]), 0.0),
    "a grid of the CPU": lambda x: F.grid_sample(x.view(1, 1, 1, 3), torch.zeros(1, 1, 3, 2), align_corners=False),
}

FINE: dict[str, Callable[[Tensor], Any]] = {
    "a number": lambda x: 2 * x + torch.tensor(1.0),
    "an index of the CPU": lambda x: x[TABLE],
    "made on its device": lambda x: x + torch.arange(3, device=x.device) + x.new_tensor([1.0, 2.0, 3.0]),
    "made like it": lambda x: torch.zeros_like(x) + x.new_ones(3) + torch.full_like(x, 2.0),
    "sent there": lambda x: x + torch.from_numpy(HALVES).to(x),
    "drawn on the CPU": lambda x: x + torch.rand(3, generator=torch_generator(0)).to(x.device),
    "brought back": lambda x: x.cpu() + torch.arange(3) + x.to("cpu", torch.float64),
    "brought back to numpy": lambda x: x.cpu().numpy() + HALVES,
    "learnt": lambda x: nn.Linear(3, 3).to(x.device)(x).sum().backward(),
    "one-hot": lambda x: F.one_hot(x.long(), 4) + torch.zeros(3, 4, device=x.device),
    "copied out": lambda x: torch.zeros(3).copy_(x) + torch.ones(3),
    "without gradients": lambda x: torch.inference_mode()(lambda: F.embedding_bag(x.long()[None], x[:, None]) + x)(),
}

WAITS: dict[str, tuple[Callable[[Tensor], Any], int]] = {
    "item": (lambda x: float(x[0]) + int(x.sum()), 2),
    "a condition": (lambda x: bool((x > 0).all()), 1),
    "tolist": (lambda x: x.tolist(), 1),
    "nonzero": (lambda x: x.nonzero(), 1),
    "a boolean mask": (lambda x: x[x > 0], 1),
    "values at a boolean mask": (lambda x: x.clone().__setitem__(x >= 0, x), 1),
    "a number at a boolean mask": (lambda x: x.clone().__setitem__(x > 0, 0.0), 0),
    "unique": (lambda x: x.unique(), 1),
    "to the CPU": (lambda x: (x.cpu(), x.to("cpu")), 2),
    "repeats of unknown number": (lambda x: x.repeat_interleave(x.long()), 1),
    "arithmetic": (lambda x: (x @ x + 1).relu(), 0),
    "in inference mode": (lambda x: torch.inference_mode()(lambda: bool((x > 0).any()))(), 1),
    "what the CPU holds": (lambda x: torch.ones(3).nonzero().tolist(), 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name: str) -> None:
    with pretended_device(), pytest.raises(MixedDevicesError):
        FAULTS[name](torch.arange(3.0).to(DEVICE))


@pytest.mark.parametrize("name", FINE)
def test_what_cuda_allows_passes(name: str) -> None:
    with pretended_device():
        FINE[name](torch.arange(3.0).to(DEVICE))


@pytest.mark.parametrize("name", WAITS)
def test_waits_are_counted(name: str) -> None:
    act, expected = WAITS[name]
    with pretended_device() as device:
        act(torch.arange(3.0).to(DEVICE))
    assert sum(sync.kind == "wait" for sync in device.ledger.syncs) == expected


def test_a_wait_knows_its_stage_and_line() -> None:
    class Slot:
        def __call__(self, voxels: SparseVoxels) -> list[int]:
            return voxels.counts

    slot = Slot()
    with pretended_device() as device:
        device.ledger.watch({"lift": slot})
        coords = torch.zeros(1, 4, dtype=torch.int32).to(DEVICE)
        with device.ledger.during("predict"):
            assert slot(SparseVoxels(coords, 2, (1, 1, 1))) == [1, 0]
    sync = device.ledger.syncs[-1]
    assert (sync.kind, sync.operation, sync.phase, sync.stage) == ("wait", "tolist", "predict", "lift")
    assert sync.place.startswith("structures/sparse_voxels.py:")


def test_everything_is_as_before_afterwards() -> None:
    with pretended_device():
        pass
    assert torch.ones(1).device.type == "cpu"
    assert "device" not in vars(torch.Tensor)
    assert torch.autocast.__name__ == "autocast"
