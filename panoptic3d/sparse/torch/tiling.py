"""A voxel set as tiles: m x m cells across i and j at one k, in order of their lines along k.

Like the rows of `sparse/torch/line_taps.py`, each run of tiles along k stands between empty ones, as many as the kernel
reaches on either side, so that the tiles before and behind in the list are those at k - 1 and k + 1, occupied or not.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.voxel_table import Box, VoxelTable
from panoptic3d.sparse.voxels import distinct
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tile t has its first cell at `corners[t]`. `reach` is the kernel's on every side: 1 for three taps, 2 for five."""

    size: int
    voxels: SparseVoxels
    corners: Int32[Tensor, "n 4"]
    reach: int = 1

    @property
    def fill(self) -> float:
        """Which share of the tiles' cells is occupied."""
        return len(self.voxels) / max(len(self.corners) * self.size**2, 1)

    @property
    def num_points(self) -> int:
        """Cells across i and j that the kernel reads for a tile."""
        return (self.size + 2 * self.reach) ** 2


@dataclass(frozen=True, eq=False)
class TileBlock:
    """Consecutive tiles; all but the first and the last `reach` are written. Point p of tile t reads the row
    `sources[p * num_tiles + t]`, but nothing at the places `missing`. Of the written cells, counted cell by cell of a tile
    and then tile by tile, those at `places` are the voxels `rows`.
    """

    num_tiles: int
    sources: Int32[Tensor, " s"]
    missing: Int64[Tensor, " e"]
    places: Int64[Tensor, " v"]
    rows: Int64[Tensor, " v"]


def tiles_of(voxels: SparseVoxels, size: int, reach: int = 1) -> Tiles:
    per_tile = voxels.coords.new_tensor([1, size, size, 1])
    coords = torch.div(voxels.coords, per_tile, rounding_mode="floor")
    beside = coords.new_tensor([0, 0, 0, reach])
    box = Box.around(coords - beside, coords + beside)
    numbers = box.number(coords)
    runs = distinct(box, torch.cat([numbers + step for step in range(-reach, reach + 1)]))
    return Tiles(size, voxels, box.coords(runs) * per_tile, reach)


def tile_blocks(tiles: Tiles, tiles_per_block: int, table_bytes: int) -> tuple[TileBlock, ...]:
    size, corners, reach = tiles.size, tiles.corners, tiles.reach
    first_read, last_read = (corners.new_tensor([0, at, at, 0]) for at in (-reach, size + reach - 1))
    box = Box.around(corners + first_read, corners + last_read)
    table = VoxelTable.build(tiles.voxels.coords, box, table_bytes)
    base = box.number(corners).to(table.number_type)
    axis = range(-reach, size + reach)
    deltas = base.new_tensor([a * box.steps[1] + b * box.steps[2] for a in axis for b in axis])
    is_own = torch.tensor([0 <= a < size and 0 <= b < size for a in axis for b in axis], device=base.device)

    def work(span: tuple[int, int]) -> TileBlock:
        cells = base[span[0] - reach : span[1] + reach] + deltas[:, None]
        sources, missing = table.rows_and_missing(cells.view(-1))
        is_there = torch.ones(cells.shape, dtype=torch.bool, device=base.device)
        is_there.view(-1)[missing] = False
        places = is_there[is_own, reach:-reach].reshape(-1).nonzero()[:, 0]
        rows = sources.view(cells.shape)[is_own, reach:-reach].reshape(-1)[places]
        return TileBlock(cells.shape[1], sources, missing, places, rows.long())

    num_written = max(len(corners) - 2 * reach, 0)
    num_blocks = -(-num_written // tiles_per_block)
    edges = [reach + num_written * b // num_blocks for b in range(num_blocks + 1)] if num_blocks else []
    return tuple(over_blocks(work, list(pairwise(edges)), base.device))
