"""How far the space behind a pixel can reach: the depth of walls, floor and ceiling in its row and column (section 5.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def eroded(mask: Bool[Tensor, "b h w"], window: int) -> Bool[Tensor, "b h w"]:
    """Pixels whose whole window holds, as far as it lies in the image."""
    outside = F.max_pool2d((~mask).float()[:, None], window, stride=1, padding=window // 2)[:, 0]
    return outside == 0


def farthest_stuff_m(depth_m: Float[Tensor, "b h w"], is_stuff: Bool[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """For each pixel the smaller one of the greatest stuff depth in its column and in its row; 0 in an image without stuff.

    Where no stuff reaches a border of the image, that border continues the first row or column that has any.
    """
    stuff = torch.where(is_stuff, depth_m, 0.0)
    of_rows, of_columns = stuff.amax(dim=2), stuff.amax(dim=1)
    filled = stuff.clone()
    filled[:, 0] = _where_zero(stuff[:, 0], _first_nonzero(of_rows))
    filled[:, -1] = _where_zero(stuff[:, -1], _first_nonzero(of_rows.flip(1)))
    filled[:, :, 0] = _where_zero(stuff[:, :, 0], _first_nonzero(of_columns))
    filled[:, :, -1] = _where_zero(stuff[:, :, -1], _first_nonzero(of_columns.flip(1)))
    return torch.minimum(filled.amax(dim=1)[:, None, :], filled.amax(dim=2)[:, :, None])


def _first_nonzero(values: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    return values.gather(1, (values != 0).int().argmax(dim=1, keepdim=True))[:, 0]


def _where_zero(line: Float[Tensor, "b n"], fill: Float[Tensor, " b"]) -> Float[Tensor, "b n"]:
    return torch.where(line == 0, fill[:, None], line)
