"""Boxes with inclusive corners: x1, y1, x2, y2 are pixel centres, and a box of one pixel is 1 wide."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_MAX_LOG_SCALE = math.log(1000 / 16)  # a regression beyond would only make the exponential overflow


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    return (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)


def iou(first: Float[Tensor, "n 4"], second: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    width, height = (high - low + 1).clamp(min=0).unbind(-1)
    overlap = width * height
    return overlap / (area(first)[:, None] + area(second)[None] - overlap)


def clip(boxes: Float[Tensor, "*n 4"], width: int, height: int) -> Float[Tensor, "*n 4"]:
    limit = boxes.new_tensor([width - 1, height - 1, width - 1, height - 1])
    return boxes.clamp(min=0).minimum(limit)


def encode(
    boxes: Float[Tensor, "n 4"], anchors: Float[Tensor, "n 4"], weights: tuple[float, float, float, float]
) -> Float[Tensor, "n 4"]:
    """Regression targets at each anchor for its box."""
    size, anchor_size = boxes[:, 2:] - boxes[:, :2] + 1, anchors[:, 2:] - anchors[:, :2] + 1
    centre, anchor_centre = boxes[:, :2] + 0.5 * size, anchors[:, :2] + 0.5 * anchor_size
    code = torch.cat(((centre - anchor_centre) / anchor_size, (size / anchor_size).log()), dim=1)
    return code * code.new_tensor(weights)


def decode(
    code: Float[Tensor, "*n 4"], anchors: Float[Tensor, "*n 4"], weights: tuple[float, float, float, float]
) -> Float[Tensor, "*n 4"]:
    """The inverse of `encode`, up to the bound on the growth of a box."""
    code = code / code.new_tensor(weights)
    anchor_size = anchors[..., 2:] - anchors[..., :2] + 1
    centre = code[..., :2] * anchor_size + (anchors[..., :2] + 0.5 * anchor_size)
    size = code[..., 2:].clamp(max=_MAX_LOG_SCALE).exp() * anchor_size
    return torch.cat((centre - 0.5 * size, centre + 0.5 * size - 1), dim=-1)


def non_maximum_suppression(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, " n"],
    threshold: float,
    groups: Int64[Tensor, " n"] | None = None,
) -> Int64[Tensor, " k"]:
    """Rows that stay, ascending: greedily by score, a box falls to a better one of its group with IoU >= threshold.

    A row's fate depends on better rows only, so that sweeping over all rows at once reaches the greedy answer, usually in a
    handful of sweeps.
    """
    order = scores.argsort(descending=True, stable=True)
    beats = (iou(boxes[order], boxes[order]) >= threshold).triu(diagonal=1)
    if groups is not None:
        beats &= groups[order][:, None] == groups[order][None]
    stays = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        swept = ~(beats & stays[:, None]).any(dim=0)
        if bool((swept == stays).all()):
            return order[stays].sort().values
        stays = swept


def is_inside(boxes: Float[Tensor, "n 4"], width: int, height: int) -> Bool[Tensor, " n"]:
    """Boxes that nowhere cross the border of the image."""
    return (boxes[:, 0] >= 0) & (boxes[:, 1] >= 0) & (boxes[:, 2] < width) & (boxes[:, 3] < height)
