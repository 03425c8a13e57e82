"""Submanifold 3^3 convolution of thick sets without a gradient on a CPU: Winograd's points across i and j, three taps along k.

A quarter of the multiplications is left with tiles of 4 x 4, four ninths with 2 x 2; empty cells of a tile cost as much as full
ones. Along k it would not pay: fewer products, but as many more sums.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.parallel import over_blocks
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.tiles import TileBlock, Tiles, tile_blocks, tiles_of
from panoptic3d.sparse.winograd import from_cells, from_taps, to_cells

_LEAST_VOXELS = 1024
_LEAST_FILL_OF_LINES = 0.7  # a set of thin lines fills no tiles: not worth a look
_LEAST_FILL = {2: 0.55, 4: 0.45}  # measured (docs/sparse.md)
_LEAST_PRODUCT = {2: 200, 4: 1024}  # of channels in and out
_WHOLE_LANES = 16


def paying_tiles(features: Float[Tensor, "n cin"], weight: Float[Tensor, "t cin cout"], plan: Plan) -> Tiles | None:
    """The largest tiles that the config allows and that are faster than gathering; None if there are none."""
    wants_gradient = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    is_plain = features.device.type == "cpu" and features.dtype == torch.float32 and not wants_gradient
    is_kernel = plan.is_mirrored and (plan.kernel.size, plan.kernel.dilation) == (3, 1)
    if not is_plain or not is_kernel or len(plan.fine) < _LEAST_VOXELS or min(weight.shape[1:]) < _WHOLE_LANES // 2:
        return None
    if plan.lined_rows().fill < _LEAST_FILL_OF_LINES:
        return None
    for size in (4, 2):
        if size <= plan.config.tile and weight.shape[1] * weight.shape[2] >= _LEAST_PRODUCT[size]:
            tiles = plan.kept(("tiles", size), lambda size=size: tiles_of(plan.fine, size))
            if tiles.fill >= _LEAST_FILL[size]:
                return tiles
    return None


def conv_in_tiles(
    features: Float[Tensor, "n cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, tiles: Tiles
) -> Float[Tensor, "n cout"]:
    num_out = weight.shape[2]
    weight = F.pad(weight, (0, -num_out % _WHOLE_LANES))
    bytes_of_tile = tiles.num_points * features.shape[1] * features.element_size()
    tiles_per_block = max(plan.config.gather_bytes // 4 // bytes_of_tile, 16)
    blocks = plan.kept(
        ("tile blocks", tiles.size, tiles_per_block),
        lambda: tile_blocks(tiles, tiles_per_block, plan.config.table_bytes),
    )
    taps, combine, separate = (
        from_taps(weight, tiles.size),
        from_cells(tiles.size, weight),
        to_cells(tiles.size, weight),
    )
    out = features.new_empty(len(features), weight.shape[2])

    def work(block: TileBlock) -> None:
        points = combine @ _gathered(features, block).view(tiles.num_points, -1)
        products = _along_lines(points.view(tiles.num_points, block.num_tiles, -1), taps)
        cells = separate @ products.flatten(1)
        out.index_copy_(0, block.rows, cells.view(-1, weight.shape[2]).index_select(0, block.places))

    for _ in over_blocks(work, blocks, features.device):
        pass
    return out if num_out == out.shape[1] else out[:, :num_out].contiguous()


def _gathered(features: Float[Tensor, "n c"], block: TileBlock) -> Float[Tensor, "s c"]:
    gathered = features.index_select(0, block.sources)
    return gathered.index_fill_(0, block.missing, 0)


def _along_lines(points: Float[Tensor, "p n cin"], taps: Float[Tensor, "3 p cin cout"]) -> Float[Tensor, "p m cout"]:
    """The tiles between the first and the last."""
    products = torch.bmm(points[:, :-2], taps[0])
    products.baddbmm_(points[:, 1:-1], taps[1])
    return products.baddbmm_(points[:, 2:], taps[2])
