"""One side of a plan: the rows that are written, and the rows of the other side that each of their taps reads.

With `fine = stride*coarse + dilation*tap - padding`, a coarse row reads through every tap. A fine row reads only
through taps that bring it onto the coarse lattice, so fine rows fall into `stride^3` classes that share their taps.
Within a class a tap moves the number of the cell that is read by a constant, whatever the row.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int, Int32, Int64
from torch import Tensor

from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.row_ops import stable_order
from panoptic3d.sparse.voxel_table import Box, VoxelTable, row_like
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class TapClass:
    """Rows with the same taps. Tap `taps[i]` of row r reads the cell `base[r] + deltas[i]`."""

    rows: Int64[Tensor, " m"] | None  # ascending; None stands for all
    base: Int64[Tensor, " m"]
    taps: tuple[int, ...]
    deltas: tuple[int, ...]

    @cached_property
    def tap_numbers(self) -> Int64[Tensor, " t"]:
        return torch.tensor(self.taps, device=self.base.device)

    @cached_property
    def _moves(self) -> Int64[Tensor, " t"]:
        return torch.tensor(self.deltas, device=self.base.device)

    def cells(self, base: Int[Tensor, " m"], first: int = 0, last: int | None = None) -> Int[Tensor, "m t"]:
        """The cells that the taps `first .. last-1` (all of them without) read from rows with these bases."""
        return base[:, None] + self._moves[first:last].to(base.dtype)


@dataclass(frozen=True, eq=False)
class Side:
    """The table of the set that is read, and the classes of the rows that are written."""

    num_rows: int
    num_sources: int
    table: VoxelTable
    classes: tuple[TapClass, ...]

    def neighbours(self, num_taps: int) -> Int32[Tensor, "n t"]:
        """For every row and tap the row that is read, or -1: the whole kernel map, for pooling and for other back ends."""
        full = torch.full((self.num_rows, num_taps), -1, dtype=torch.int32, device=self.table.numbers.device)
        for tap_class in self.classes:
            found = self.table.rows(tap_class.cells(tap_class.base))
            if tap_class.rows is None:
                return found  # the only class has all rows and all taps
            full[tap_class.rows[:, None], tap_class.tap_numbers] = found
        return full


def coarse_side(fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel, table_bytes: int) -> Side:
    """Coarse rows read fine ones: what a convolution writes."""
    corner = coarse.coords * row_like(coarse.coords, 1, kernel.stride)
    corner = corner - row_like(coarse.coords, 0, kernel.padding)
    reach = kernel.dilation * (kernel.size - 1)
    box = Box.around(fine.coords, corner, corner + row_like(coarse.coords, 0, reach))
    axis = [(t, kernel.dilation * t) for t in range(kernel.size)]
    taps, deltas = _combined(kernel, box, (axis, axis, axis))
    whole = TapClass(None, box.number(corner), taps, deltas)
    return Side(len(coarse), len(fine), VoxelTable.build(fine.coords, box, table_bytes), (whole,))


def fine_side(fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel, table_bytes: int) -> Side:
    """Fine rows read coarse ones: what a transposed convolution and the gradient of a convolution write."""
    moved = fine.coords + row_like(fine.coords, 0, kernel.padding)
    cell = torch.div(moved, row_like(fine.coords, 1, kernel.stride), rounding_mode="floor")
    reach = -(-kernel.dilation * (kernel.size - 1) // kernel.stride)
    box = Box.around(coarse.coords, cell, cell - row_like(fine.coords, 0, reach))
    base = box.number(cell)
    if kernel.stride == 1:
        classes = [_fine_class(kernel, box, base, None, (0, 0, 0))]
    else:
        rows = _rows_by_residue(moved[:, 1:] - cell[:, 1:] * kernel.stride, kernel.stride)
        axis = range(kernel.stride)
        residues = [(a, b, c) for a in axis for b in axis for c in axis]
        classes = [_fine_class(kernel, box, base, *pair) for pair in zip(rows, residues, strict=True)]
    table = VoxelTable.build(coarse.coords, box, table_bytes)
    return Side(len(fine), len(coarse), table, tuple(c for c in classes if c.taps and len(c.base)))


def _rows_by_residue(residue: Int32[Tensor, "n 3"], stride: int) -> list[Int64[Tensor, " _"]]:
    """The rows of each residue, ascending; residues in C order."""
    a, b, c = residue.long().unbind(1)
    code = (a * stride + b) * stride + c
    counts = torch.bincount(code, minlength=stride**3).tolist()
    return list(stable_order(code, stride**3).split(counts))


def _fine_class(
    kernel: Kernel,
    box: Box,
    base: Int64[Tensor, " n"],
    rows: Int64[Tensor, " m"] | None,
    rest: tuple[int, int, int],
) -> TapClass:
    """A tap leads from the lattice residue `rest` to a coarse cell if `dilation*tap` has that residue, too."""
    axes = [
        [
            (t, (r - kernel.dilation * t) // kernel.stride)
            for t in range(kernel.size)
            if (kernel.dilation * t - r) % kernel.stride == 0
        ]
        for r in rest
    ]
    taps, deltas = _combined(kernel, box, (axes[0], axes[1], axes[2]))
    return TapClass(rows, base if rows is None else base[rows], taps, deltas)


Axis = list[tuple[int, int]]  # tap along the axis, cells that it moves


def _combined(kernel: Kernel, box: Box, axes: tuple[Axis, Axis, Axis]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Taps of three axes as taps of the cube, in C order, with the difference of cell numbers of each."""
    taps, deltas = [], []
    for (a, da), (b, db), (c, dc) in itertools.product(*axes):
        taps.append(kernel.tap(a, b, c))
        deltas.append(da * box.steps[1] + db * box.steps[2] + dc)
    return tuple(taps), tuple(deltas)
