"""Convolution of an enlarged map, worked out on the small one.

Enlarging leaves channels apart, so that they can be mixed first, once for each tap and small cell. What is left is to enlarge
and to shift, an axis at a time, as products with small matrices.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_MARGIN = (
    2.0  # needs this many times fewer operations to be faster, because its matrix products are thinner and need copies
)


def enlarged_conv(
    small: Float[Tensor, "b cin h w"], weight: Float[Tensor, "cout cin k k"], size: tuple[int, int]
) -> Float[Tensor, "b cout h2 w2"]:
    """`conv2d` without a bias, zeros around, of the map resized to `size` (bilinear, corners on corners)."""
    if pays(small, weight, size):
        return mixed_first(small, weight, size)
    large = F.interpolate(small, size=size, mode="bilinear", align_corners=True)
    return F.conv2d(large, weight, padding=weight.shape[2] // 2)


def pays(small: Float[Tensor, "b cin h w"], weight: Float[Tensor, "cout cin k k"], size: tuple[int, int]) -> bool:
    """Counted in multiplications."""
    (h, w), (height, width) = small.shape[2:], size
    num_out, num_in, taps = weight.shape[:3]
    mixing = h * w * taps**2 * num_in * num_out
    enlarging = taps**2 * h * w * width * num_out + taps * h * height * width * num_out
    return _MARGIN * (mixing + enlarging) < height * width * taps**2 * num_in * num_out


def mixed_first(
    small: Float[Tensor, "b cin h w"], weight: Float[Tensor, "cout cin k k"], size: tuple[int, int]
) -> Float[Tensor, "b cout h2 w2"]:
    taps = weight.shape[2]
    down, across = (_shifted(n, to, taps, small) for n, to in zip(small.shape[2:], size, strict=True))
    mixed = torch.einsum("oiac,bihw->boahcw", weight, small)
    wide = mixed.flatten(4) @ across.flatten(1).t()
    return down.flatten(1) @ wide.flatten(2, 3)


def _shifted(size: int, to: int, taps: int, like: Tensor) -> Float[Tensor, "to k n"]:
    """What place `y` reads through tap a of small cell i: the share of i at the enlarged place y + a - k // 2."""
    cells = torch.eye(size, dtype=like.dtype, device=like.device)[None]
    shares = F.interpolate(cells, size=to, mode="linear", align_corners=True)[0]
    around = F.pad(shares, (taps // 2, taps // 2))
    return around.unfold(1, to, 1).permute(2, 1, 0)
