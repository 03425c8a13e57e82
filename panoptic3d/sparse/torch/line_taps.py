"""Submanifold 3^3 convolution by lines: the three taps along k read three rows that lie one behind the other.

Voxels are sorted with k running fastest, so those of a line already lie in order. Rows of zeros for the cells in front of and
behind every run of voxels complete it: then row r - 1, r and r + 1 are the cells k - 1, k and k + 1, occupied or not, and one
gather of three rows' length does for three taps. Nine lines are looked up instead of 27 cells, and a row has one partial
sum instead of three. In exchange the zeros are multiplied, which pays for thick sets and few channels.
"""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.sparse.kernel_map import Side, TapClass
from panoptic3d.sparse.voxel_table import Box, VoxelTable, row_like
from panoptic3d.structures.sparse_voxels import SparseVoxels

LINE_TAPS = 3


@dataclass(frozen=True, eq=False)
class LinedRows:
    """Voxel i stands at row `places[i]`, between rows of zeros."""

    places: Int64[Tensor, " n"]
    num_places: int

    @property
    def fill(self) -> float:
        """Which share of the cells in all lines through a voxel is occupied, about."""
        return len(self.places) / max(self.num_places, 1)

    def spread(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "m c3"]:
        """Row r holds the features of cell r and of its neighbours along k. The rows overlap in memory: only to be read."""
        channels = features.shape[1]
        rows = features.new_zeros(self.num_places, channels).index_copy_(0, self.places, features)
        return rows.as_strided((self.num_places - 2, LINE_TAPS * channels), (channels, 1))


def lined_rows(voxels: SparseVoxels) -> LinedRows:
    """Cells are counted in a box with a margin, in which no line touches another."""
    numbers = _box(voxels).number(voxels.coords)
    zeros_between = (numbers.diff() - 1).clamp_(max=2)
    places = torch.arange(2, len(numbers) + 2, device=numbers.device)  # behind one row at the edge and one of zeros
    places[1:] += zeros_between.cumsum(0)
    return LinedRows(places, int(places[-1]) + 3 if len(places) else 0)


def lined_side(voxels: SparseVoxels, rows: LinedRows, table_bytes: int) -> Side:
    """The kernel map of nine taps, each a line of three voxels along z. Sources are rows of `rows.spread`."""
    box = _box(voxels)
    numbers, at = box.number(voxels.coords), rows.places - 1
    cells = numbers.new_empty(rows.num_places - 2)
    for step in (1, -1, 0):
        cells[at + step] = numbers + step
    deltas = [a * box.steps[1] + b * box.steps[2] for a, b in itertools.product((-1, 0, 1), repeat=2)]
    table = VoxelTable.of_numbers(cells, box, table_bytes)
    return Side(len(voxels), len(cells), table, (TapClass(None, numbers, tuple(range(len(deltas))), tuple(deltas)),))


def _box(voxels: SparseVoxels) -> Box:
    beside = row_like(voxels.coords, 0, 1)
    return Box.around(voxels.coords - beside, voxels.coords + beside)
