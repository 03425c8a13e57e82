"""Finding voxels by coordinate: a dense table of the bounding box while it is small, binary search beyond."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Int32, Int64
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """Cells `low <= c < high` of (batch, i, j, k), numbered in C order."""

    low: tuple[int, int, int, int]
    high: tuple[int, int, int, int]

    @classmethod
    def around(cls, *corners: Int[Tensor, "_ 4"]) -> "Box":
        """The smallest box that holds all given coordinates."""
        corners = tuple(c for c in corners if len(c))
        if not corners:
            return cls((0, 0, 0, 0), (1, 1, 1, 1))
        low = torch.stack([c.amin(0) for c in corners]).amin(0).tolist()
        high = torch.stack([c.amax(0) for c in corners]).amax(0).tolist()
        return cls(_four(low), _four([value + 1 for value in high]))

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return _four([b - a for a, b in zip(self.low, self.high, strict=True)])

    @property
    def num_cells(self) -> int:
        return math.prod(self.sizes)

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """How far apart in number two cells are that differ by one along an axis."""
        _, nx, ny, nz = self.sizes
        return nx * ny * nz, ny * nz, nz, 1

    def number(self, coords: Int[Tensor, "n 4"]) -> Int64[Tensor, " n"]:
        steps = self.steps
        start = sum(a * s for a, s in zip(self.low, steps, strict=True))
        number = coords[:, 0].long() * steps[0] - start
        for axis in (1, 2, 3):
            number.add_(coords[:, axis], alpha=steps[axis])
        return number

    def coords(self, number: Int64[Tensor, " n"]) -> Int32[Tensor, "n 4"]:
        columns, rest = [], number
        for low, step in zip(self.low, self.steps, strict=True):
            columns.append(torch.div(rest, step, rounding_mode="floor"))
            rest = rest - columns[-1] * step
            columns[-1] = columns[-1] + low
        return torch.stack(columns, dim=1).int()


@dataclass(frozen=True, eq=False)
class VoxelTable:
    """Rows of a sorted voxel set by cell number. `dense` holds row + 1 per cell; `numbers` is searched without it."""

    box: Box
    numbers: Int64[Tensor, " n"]
    dense: Int32[Tensor, " cells"] | None

    @classmethod
    def build(cls, coords: Int32[Tensor, "n 4"], box: Box, max_bytes: int) -> "VoxelTable":
        numbers = box.number(coords)
        if box.num_cells * 4 > max_bytes:
            return cls(box, numbers, None)
        dense = _zeros(box.num_cells, coords.device)
        dense[numbers] = torch.arange(1, len(coords) + 1, dtype=torch.int32, device=coords.device)
        return cls(box, numbers, dense)

    def rows_plus_one(self, base: Int64[Tensor, " m"], deltas: Sequence[int]) -> Int32[Tensor, "m t"]:
        """Row + 1 of the voxel in cell `base + delta`, or 0 where there is none. All cells lie in the box."""
        cells = base[:, None] + torch.tensor(deltas, dtype=torch.int64, device=base.device)
        if self.dense is not None:
            return torch.index_select(self.dense, 0, cells.view(-1)).view(cells.shape)
        if not len(self.numbers):
            return torch.zeros(cells.shape, dtype=torch.int32, device=base.device)
        rows = torch.searchsorted(self.numbers, cells).clamp_(max=len(self.numbers) - 1)
        is_found = self.numbers[rows] == cells
        return torch.where(is_found, rows + 1, 0).int()


def _zeros(num_cells: int, device: torch.device) -> Int32[Tensor, " cells"]:
    """On a CPU the zeros come lazily from the system, so that only the pages near voxels cost anything."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(num_cells, dtype=np.int32))
    return torch.zeros(num_cells, dtype=torch.int32, device=device)


def _four(values: Sequence[int]) -> tuple[int, int, int, int]:
    a, b, c, d = values
    return int(a), int(b), int(c), int(d)
