"""A step up in two steps: from coarse voxels to the cells of the coarse lattice, all fine voxels of a cell at once, and out.

With `size = n * stride` a fine voxel at rest r in cell q reads the coarse voxels q - d through the taps `stride * d + r`. So
a transposed convolution is one of n^3 taps on the coarse lattice with stride^3 times as many channels, which needs stride^3
times fewer look-ups; where made voxels fill their cells, nothing is computed in vain.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.kernel_map import Side, TapClass
from panoptic3d.sparse.voxel_table import Box, VoxelTable
from panoptic3d.sparse.voxels import distinct
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class Subcells:
    """The side of the cells, and where each fine row is among the rests of all cells."""

    side: Side
    num_taps: int  # along an axis
    places: Int64[Tensor, " n"]

    @property
    def fill(self) -> float:
        """Fraction of the computed cells that are needed."""
        return len(self.places) / max(self.side.num_rows, 1)


def subcells_of(fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel, table_bytes: int) -> Subcells:
    """For kernels without dilation whose size is a multiple of their stride."""
    stride, num_taps = kernel.stride, kernel.size // kernel.stride
    moved = fine.coords + fine.coords.new_tensor([0, *[kernel.padding] * 3])
    cells = torch.div(moved, moved.new_tensor([1, *[stride] * 3]), rounding_mode="floor")
    _, a, b, c = (moved - cells * moved.new_tensor([1, *[stride] * 3])).unbind(1)
    reach = cells.new_tensor([0, *[num_taps - 1] * 3])
    box = Box.around(coarse.coords, cells, cells - reach)
    numbers = box.number(cells)
    rows = distinct(box, numbers)
    axis = range(num_taps)
    deltas = tuple(-(i * box.steps[1] + j * box.steps[2] + k) for i in axis for j in axis for k in axis)
    whole = TapClass(None, rows, tuple(range(len(deltas))), deltas)
    side = Side(len(rows), len(coarse), VoxelTable.build(coarse.coords, box, table_bytes), (whole,))
    row_of = VoxelTable.of_numbers(rows, box, table_bytes).rows(numbers).long()
    return Subcells(side, num_taps, row_of * stride**3 + (a * stride + b) * stride + c)


def weight_of_cells(weight: Float[Tensor, "t cin cout"], kernel: Kernel) -> Float[Tensor, "t2 cin scout"]:
    """The taps of cells; side by side the matrices of their rests."""
    axis = (kernel.size // kernel.stride, kernel.stride)
    taps = weight.unflatten(0, axis * 3).permute(0, 2, 4, 6, 1, 3, 5, 7)
    return taps.flatten(4).flatten(0, 2)
