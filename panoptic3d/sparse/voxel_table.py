"""Finding voxels by coordinate: a dense table of the bounding box while it is small, binary search beyond."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, Int32, Int64, UInt8
from torch import Tensor

_BLOCK_BITS = 7  # a rank of at most 128 fits a byte


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
        low = torch.stack([c.amin(0) for c in corners]).amin(0)
        high = torch.stack([c.amax(0) for c in corners]).amax(0)
        low, high = torch.stack((low, high)).tolist()  # at once: a GPU is waited for
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
    """Rows of a sorted voxel set by cell number.

    Cells are cut into blocks of 128. `ranks` holds for every cell its voxel's place within the block, from 1 on, and 0 where
    there is no voxel; `starts` counts the voxels in front of every block. A byte a cell stays in the cache where whole row
    numbers would not. Beyond the limit of memory there are no ranks, and `numbers` is searched.
    """

    box: Box
    numbers: Int64[Tensor, " n"]
    ranks: UInt8[Tensor, " cells"] | None
    starts: Int32[Tensor, " blocks"] | None

    @classmethod
    def build(cls, coords: Int32[Tensor, "n 4"], box: Box, max_bytes: int) -> "VoxelTable":
        return cls.of_numbers(box.number(coords), box, max_bytes)

    @classmethod
    def of_numbers(cls, numbers: Int64[Tensor, " n"], box: Box, max_bytes: int) -> "VoxelTable":
        """Table of ascending cell numbers."""
        if box.num_cells > max_bytes:
            return cls(box, numbers, None, None)
        blocks = numbers >> _BLOCK_BITS
        num_blocks = (box.num_cells >> _BLOCK_BITS) + 1
        starts = _starts(numbers, blocks, num_blocks)
        ranks = _zeros(box.num_cells, numbers.device)
        ranks[numbers] = torch.arange(1, len(numbers) + 1, device=numbers.device).sub_(starts[blocks]).to(torch.uint8)
        return cls(box, numbers, ranks, starts.int())

    @property
    def number_type(self) -> torch.dtype:
        """The narrowest type that the cells' numbers fit: half the bytes for nearly every box."""
        return torch.int32 if self.box.num_cells < 1 << 31 else torch.int64

    def has(self, cells: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Whether there is a voxel in each of these cells, all of which lie in the box."""
        if self.ranks is None:
            return self.rows(cells) >= 0
        return (self.ranks.index_select(0, cells.view(-1)) != 0).view(cells.shape)

    def rows(self, cells: Int[Tensor, "*shape"], absent: int = -1) -> Int32[Tensor, "*shape"]:
        """Row of the voxel in each of these cells, or `absent`. All cells lie in the box."""
        rows, is_missing = self._rows(cells.reshape(-1))
        return rows.masked_fill_(is_missing, absent).view(cells.shape)

    def rows_and_missing(self, cells: Int[Tensor, " m"]) -> tuple[Int32[Tensor, " m"], Int64[Tensor, " z"]]:
        """Row of the voxel in each of these cells, and the places of cells without a voxel. Their row is undefined."""
        rows, is_missing = self._rows(cells)
        return rows, is_missing.nonzero()[:, 0]

    def _rows(self, cells: Int[Tensor, " m"]) -> tuple[Int32[Tensor, " m"], Bool[Tensor, " m"]]:
        if self.ranks is not None and self.starts is not None:
            ranks = self.ranks.index_select(0, cells)
            rows = self.starts.index_select(0, cells >> _BLOCK_BITS).add_(ranks).sub_(1).clamp_(min=0)
            return rows, ranks == 0
        if not len(self.numbers):
            return torch.zeros_like(cells, dtype=torch.int32), torch.ones_like(cells, dtype=torch.bool)
        rows = torch.searchsorted(self.numbers, cells.long()).clamp_(max=len(self.numbers) - 1)
        return rows.int(), self.numbers[rows] != cells


def row_like(coords: Int[Tensor, "n 4"], member: int, axis: int) -> Int[Tensor, " 4"]:
    """(member, axis, axis, axis), filled on the device of the coordinates: a list would have to be sent there."""
    row = coords.new_full((4,), axis)
    row[0] = member
    return row


def _zeros(num_cells: int, device: torch.device) -> UInt8[Tensor, " cells"]:
    """On a CPU the zeros come lazily from the system, so that only the pages near voxels cost anything."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(num_cells, dtype=np.uint8))
    return torch.zeros(num_cells, dtype=torch.uint8, device=device)


def _starts(numbers: Int64[Tensor, " n"], blocks: Int64[Tensor, " n"], num_blocks: int) -> Int64[Tensor, " blocks"]:
    """Voxels in front of every block. CUDA waits for the result of `bincount`, and searches faster than a CPU."""
    if numbers.device.type == "cpu":
        counts = torch.bincount(blocks, minlength=num_blocks)
        return counts.cumsum(0).sub_(counts)
    return torch.searchsorted(numbers, torch.arange(num_blocks, device=numbers.device) << _BLOCK_BITS)


def _four(values: Sequence[int]) -> tuple[int, int, int, int]:
    a, b, c, d = values
    return int(a), int(b), int(c), int(d)
