"""`panoptic3d doctor --explain`: which kernel computes a sparse convolution here, and why the others were not chosen."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from panoptic3d.machine import device_named
from panoptic3d.sparse import Kernel, Plan, coarsened, make_plan, voxels_of_mask
from panoptic3d.sparse.backends.choice import backend_named, resolved_name
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.torch.dispatch import Widths, explained
from panoptic3d.structures.sparse_voxels import SparseVoxels

_SIZE = 48  # cells along an axis of the sets
_CHANNELS = ((16, 16), (48, 16), (64, 64))


@dataclass(frozen=True)
class Explanation:
    """`obstacles`: of kernels that come before the one that is taken, the end of a sentence that starts with its name."""

    plan: str
    channels: tuple[int, int]
    purpose: str
    kernel: str
    obstacles: dict[str, str]


def explain(is_json: bool) -> int:
    device = device_named("auto")
    backend = resolved_name("auto", device)
    rows = list(explanations(device, backend))
    if is_json:
        told = [dataclasses.asdict(row) for row in rows]
        print(json.dumps({"device": device.type, "back_end": backend, "plans": told}, indent=2))
        return 0
    print(f"sparse convolutions on {device.type} by the back end {backend!r} (docs/sparse.md)")
    for row in rows:
        print(f"\n{row.plan}, {row.channels[0]} to {row.channels[1]} channels, {row.purpose}: {row.kernel}")
        for name, obstacle in row.obstacles.items():
            print(f"    {name} {obstacle}")
    return 0


def explanations(device: torch.device, backend: str) -> Iterator[Explanation]:
    """Explain typical voxel sets of the methods, from thin surfaces to whole grids."""
    for plan_name, plan, writes in _plans(device):
        for channels in _CHANNELS:
            for purpose in ("training", "prediction"):
                is_inference = purpose == "prediction" and device.type == "cpu"
                features = torch.zeros(1, channels[0], device=device)
                rows = [(backend, backend_named(backend).obstacle(features, plan, writes))]
                if backend == "torch" or rows[0][1] is not None:
                    rows = [*rows[: backend != "torch"], *explained(plan, Widths(*channels, writes, is_inference))]
                obstacles = {name: obstacle for name, obstacle in rows[:-1] if obstacle is not None}
                yield Explanation(plan_name, channels, purpose, rows[-1][0], obstacles)


def _plans(device: torch.device) -> Iterator[tuple[str, Plan, Writes]]:
    for name, voxels in _sets(device):
        coarse = coarsened(voxels, 2)
        what = f"{name} of {len(voxels):,} voxels"
        yield f"3^3 over {what}", make_plan(voxels, voxels, Kernel(3)), "coarse"
        yield f"2^3 to every other cell of {what}", make_plan(voxels, coarse, Kernel(2, 2)), "coarse"
        yield f"4^3 up to {what}", make_plan(voxels, coarse, Kernel(4, 2)), "fine"


def _sets(device: torch.device) -> Iterator[tuple[str, SparseVoxels]]:
    axis = torch.arange(_SIZE, device=device) - (_SIZE - 1) / 2
    from_shell = ((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt() - _SIZE / 3).abs()
    yield "a thin surface", voxels_of_mask((from_shell < 0.6)[None])
    yield "a thick surface", voxels_of_mask((from_shell < 3)[None])
    yield "a whole grid", voxels_of_mask(torch.ones_like(from_shell, dtype=torch.bool)[None])
