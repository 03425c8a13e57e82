"""Masks of boxes into the image, with the reference's rounding."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

_PADDING = 1  # a ring of zeros, so that a mask fades out beyond its box


def paste_masks(
    masks: Float[Tensor, "n m m"], boxes: Float[Tensor, "n 4"], height: int, width: int
) -> Float[Tensor, "n {height} {width}"]:
    """Each mask resized bilinearly onto its box, 0 elsewhere.

    The padded mask belongs to the box grown by the same share, whose corners are cut to whole pixels (towards zero) before
    the resize. Box by box with torch's own resize, as the reference does: a product of matrices rounds otherwise, and at the
    rim of a mask 7e-9 and 0 are two answers to "does any mask cover this pixel?".
    """
    padded = F.pad(masks, (_PADDING,) * 4)
    corners = _grown(boxes, padded.shape[-1] / masks.shape[-1]).tolist()
    pasted = masks.new_zeros(len(masks), height, width)
    for number, (left, top, right, bottom) in enumerate(corners):
        size = (max(bottom - top + 1, 1), max(right - left + 1, 1))
        rows, columns = _inside(top, size[0], height), _inside(left, size[1], width)
        if len(rows) and len(columns):
            resized = F.interpolate(padded[number][None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
            part = resized[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            pasted[number, rows.start : rows.stop, columns.start : columns.stop] = part
    return pasted


def _grown(boxes: Float[Tensor, "n 4"], factor: float) -> Int64[Tensor, "n 4"]:
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * factor
    centre = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    return torch.cat((centre - half, centre + half), dim=1).long()


def _inside(first: int, length: int, limit: int) -> range:
    """The pixels of a box along one axis that lie in the image."""
    return range(max(first, 0), min(first + length, limit))
