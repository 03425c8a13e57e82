"""Masks of boxes into the image, with the reference's rounding."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_PADDING = 1  # a ring of zeros, so that a mask fades out beyond its box


def paste_masks(
    masks: Float[Tensor, "n m m"], boxes: Float[Tensor, "n 4"], height: int, width: int
) -> Float[Tensor, "n {height} {width}"]:
    """Each mask resized bilinearly onto its box, 0 elsewhere.

    The padded mask belongs to the box grown by the same share, whose corners are cut to whole pixels (towards zero) before
    the resize. Rows and columns are independent, so that a paste is two matrix products.
    """
    padded = torch.nn.functional.pad(masks, (_PADDING,) * 4)
    corners = _grown(boxes, padded.shape[-1] / masks.shape[-1])
    rows = _axis_weights(corners[:, 1], corners[:, 3], height, padded.shape[-1])
    columns = _axis_weights(corners[:, 0], corners[:, 2], width, padded.shape[-1])
    return rows @ padded @ columns.transpose(1, 2)


def _grown(boxes: Float[Tensor, "n 4"], factor: float) -> Int64[Tensor, "n 4"]:
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * factor
    centre = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    return torch.cat((centre - half, centre + half), dim=1).long()


def _axis_weights(
    first: Int64[Tensor, " n"], last: Int64[Tensor, " n"], limit: int, size: int
) -> Float[Tensor, "n {limit} {size}"]:
    """Share of each mask cell in each pixel of an axis: the resize of `size` cells to the pixels first..last."""
    length = (last - first + 1).clamp(min=1)[:, None]
    pixel = torch.arange(limit, device=first.device)[None] - first[:, None]
    at = ((pixel + 0.5) * (size / length) - 0.5).clamp(min=0)
    low = at.floor()
    fraction = at - low
    cells = torch.arange(size, device=first.device)
    weights = torch.where(cells == low[..., None], (1 - fraction)[..., None], 0.0)
    next_cell = (low + 1).clamp(max=size - 1)
    weights = weights + torch.where(cells == next_cell[..., None], fraction[..., None], 0.0)
    return weights * ((pixel >= 0) & (pixel < length))[..., None]
