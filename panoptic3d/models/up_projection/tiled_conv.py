"""5x5 convolution of a map on a CPU with a sixth of the multiplications, for inference: Winograd's F(4, 5) along both axes.

Of 8x8 pixels 64 combinations are made, each meets one matrix instead of 25, and 4x4 pixels come of them. Rounding is five to
ten times that of a direct convolution (2e-6 of the outputs' size in the root mean square).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.torch.winograd_matrices import from_cells, from_taps, to_cells

_TAPS, _TILE = 5, 4
_READ = _TILE + _TAPS - 1
_LEAST_CHANNELS = 32  # in and out: thinner products gain nothing
_LEAST_TILES = 64  # below that the weights are most of the work
_TILES_PER_BLOCK = 128
_WHOLE_LANES = (
    16  # a product with 100 columns takes as long as one with 112, and longer than that if they are not whole lanes
)


def conv_of_map(x: Float[Tensor, "b cin h w"], conv: nn.Conv2d) -> Float[Tensor, "b cout h w"]:
    """`conv(x)`, of a convolution that keeps the size."""
    return in_tiles(x, conv.weight, conv.bias) if pays(x, conv) else conv(x)


def pays(x: Float[Tensor, "b cin h w"], conv: nn.Conv2d) -> bool:
    is_plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    is_kernel = conv.kernel_size == (_TAPS, _TAPS) and min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS
    num_tiles = x.shape[0] * x.shape[2] * x.shape[3] // _TILE**2
    return is_plain and is_kernel and num_tiles >= _LEAST_TILES and not torch.is_grad_enabled()


def in_tiles(
    x: Float[Tensor, "b cin h w"], weight: Float[Tensor, "cout cin 5 5"], bias: Float[Tensor, " cout"] | None
) -> Float[Tensor, "b cout h w"]:
    """With zeros around the map. Channels are last in the memory of the result."""
    (batch, num_in, height, width), num_out = x.shape, len(weight)
    down, across = -(-height // _TILE), -(-width // _TILE)
    border = (_TAPS // 2, across * _TILE - width + _TAPS // 2, _TAPS // 2, down * _TILE - height + _TAPS // 2)
    cells = F.pad(x, border).permute(0, 2, 3, 1).contiguous()
    lanes = F.pad(weight.permute(2, 3, 1, 0).flatten(0, 1), (0, -num_out % _WHOLE_LANES))
    (taps,) = from_taps(lanes, _TILE, _TAPS)
    combine, separate = (matrix(_TILE, x, _TAPS) for matrix in (from_cells, to_cells))
    out = x.new_empty(batch, down * _TILE, across * _TILE, num_out)
    rows_per_block = max(_TILES_PER_BLOCK // across, 1)

    def work(block: tuple[int, int]) -> None:
        member, first = block
        last = min(first + rows_per_block, down)
        step_y, step_x = cells.stride(1), cells.stride(2)
        read = cells[member, first * _TILE :].as_strided(
            (_READ, _READ, last - first, across, num_in), (step_y, step_x, _TILE * step_y, _TILE * step_x, 1)
        )
        points = torch.mm(combine, read.reshape(_READ**2, -1)).view(_READ**2, -1, num_in)
        made = torch.mm(separate, torch.bmm(points, taps).flatten(1))
        tiles = made.view(_TILE, _TILE, last - first, across, -1)[..., :num_out]
        target = out[member, first * _TILE : last * _TILE].view(last - first, _TILE, across, _TILE, num_out)
        target.copy_(tiles.permute(2, 0, 3, 1, 4))
        if bias is not None:
            target.add_(bias)

    blocks = [(member, first) for member in range(batch) for first in range(0, down, rows_per_block)]
    over_blocks(work, blocks, x.device)
    return out[:, :height, :width].permute(0, 3, 1, 2)
