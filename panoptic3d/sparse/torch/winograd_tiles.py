"""Submanifold 3^3 and 5^3 convolution of thick sets in tiles, without a gradient, on a CPU.

Winograd's points across i and j leave a quarter of the products of 3^3 with tiles of 4 x 4, four ninths with 2 x 2 (0.16 and
0.36 of 5^3). Along k there are three or five taps: points would pay fewer products with as many more sums. Empty cells of a
tile cost as much as full ones. If next to nothing comes out, the points are the cells, and their products for all cells of
the tile are added up.
"""

from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.runtime.scratch import Scratch, Shelf
from panoptic3d.sparse.torch.limits import MOST_OUT_OF_NARROW_TILES
from panoptic3d.sparse.torch.tiling import TileBlock, Tiles, tile_blocks, tiles_of
from panoptic3d.sparse.torch.winograd_matrices import from_cells, from_taps, to_cells

_WHOLE_LANES = 16  # pad to whole SIMD lanes: a GEMM with 13 columns takes twice as long as one with 16


def kept_tiles(plan: Plan, size: int) -> Tiles:
    return plan.kept(("tiles", size), lambda: tiles_of(plan.fine, size, plan.kernel.size // 2))


def conv_in_tiles(
    features: Float[Tensor, "n cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, tiles: Tiles
) -> Float[Tensor, "n cout"]:
    bytes_of_tile = tiles.num_points * features.shape[1] * features.element_size()
    tiles_per_block = max(plan.config.gather_bytes // 4 // bytes_of_tile, 16)
    blocks = plan.kept(
        ("tile blocks", tiles.size, tiles_per_block),
        lambda: tile_blocks(tiles, tiles_per_block, plan.config.table_bytes),
    )
    num_out = weight.shape[2]
    is_narrow = num_out <= MOST_OUT_OF_NARROW_TILES and tiles.reach == 1
    convolve = _narrow(weight, tiles) if is_narrow else _by_points(weight, tiles)
    out, shelf = features.new_empty(len(features), num_out), Shelf(features)

    def work(block: TileBlock) -> None:
        with shelf.scratch() as scratch:
            gathered = scratch.take(block.sources.shape[0], features.shape[1])
            torch.index_select(features, 0, block.sources, out=gathered).index_fill_(0, block.missing, 0)
            cells = convolve(gathered.view(tiles.num_points, block.num_tiles, -1), scratch)
            out.index_copy_(0, block.rows, cells.index_select(0, block.places)[:, :num_out])

    over_blocks(work, blocks, features.device)
    return out


Convolve = Callable[[Float[Tensor, "p n cin"], Scratch], Float[Tensor, "o cout"]]  # of a block's tiles, cell by cell


def _by_points(weight: Float[Tensor, "t cin cout"], tiles: Tiles) -> Convolve:
    weight = F.pad(weight, (0, -weight.shape[2] % _WHOLE_LANES))
    num_points, num_out, num_taps = tiles.num_points, weight.shape[2], 2 * tiles.reach + 1
    taps = from_taps(weight, tiles.size, num_taps)
    combine, separate = (matrix(tiles.size, weight, num_taps) for matrix in (from_cells, to_cells))

    def convolve(cells: Float[Tensor, "p n cin"], scratch: Scratch) -> Float[Tensor, "o cout"]:
        num_made = cells.shape[1] - num_taps + 1
        points, products = scratch.take(*cells.shape), scratch.take(num_points, num_made, num_out)
        torch.mm(combine, cells.flatten(1), out=points.view(num_points, -1))
        torch.bmm(points[:, :num_made], taps[0], out=products)
        for tap in range(1, num_taps):
            products.baddbmm_(points[:, tap : tap + num_made], taps[tap])
        made = scratch.take(len(separate), num_made * num_out)
        return torch.mm(separate, products.view(num_points, -1), out=made).view(-1, num_out)

    return convolve


def _narrow(weight: Float[Tensor, "t cin cout"], tiles: Tiles) -> Convolve:
    size, (num_in, num_out) = tiles.size, weight.shape[1:]
    taps = weight.new_zeros(size + 2, size + 2, num_in, 3, size, size, num_out)
    along = weight.unflatten(0, (3, 3, 3)).permute(0, 1, 3, 2, 4)
    for a, b in product(range(size), repeat=2):
        taps[a : a + 3, b : b + 3, :, :, a, b] = along
    taps = taps.flatten(3).flatten(0, 1)
    lanes = F.pad(taps, (0, -taps.shape[2] % _WHOLE_LANES))

    def convolve(cells: Float[Tensor, "p n cin"], scratch: Scratch) -> Float[Tensor, "o cout"]:
        sums = scratch.take(cells.shape[1], lanes.shape[2])
        sums = torch.addbmm(cells.new_zeros(1), cells, lanes, out=sums)[:, : taps.shape[2]]
        in_front, here, behind = sums.unflatten(1, (3, -1)).unbind(1)
        made = in_front[:-2] + here[1:-1] + behind[2:]
        return made.view(len(made), size**2, num_out).transpose(0, 1).reshape(-1, num_out)

    return convolve
