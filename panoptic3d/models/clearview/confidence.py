"""Confidence of a voxel: the chance that a true surface of its class is within a voxel of it.

A logistic regression on what the network says there: the logit of P(occupied), the spread of the ray's log depth, and how
far away the voxel is, because an error of some per cent is more voxels there. Fitted on validation rooms by
`python -m eval.fusion.confidence --fit`; docs/experiments/2026-12-01-fusion.md has what else was tried, P(label) among it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.models.clearview.config import ConfidenceConfig
from panoptic3d.structures.prediction import Prediction

_LEAST = 1e-4  # lower bound of a probability and of its complement
_UNKNOWN_LOG_SPREAD = -2.4  # for networks without a spread: the median of clearview


@dataclass(frozen=True, eq=False)
class SeenFrom:
    """Voxels of one image as its camera sees them: the pixel of each, and what the photo shows there."""

    height: int
    width: int
    row: Int64[Tensor, " n"]  # the nearest one for voxels outside of the photo
    column: Int64[Tensor, " n"]
    is_inside: Bool[Tensor, " n"]
    gap_m: Float[Tensor, " n"]  # behind the visible surface; negative in front of it
    log_spread: Float[Tensor, " n"]  # of the depth of the pixel
    log_depth: Float[Tensor, " n"]  # of the voxel itself


def seen_from(prediction: Prediction, member: int, coords: Int64[Tensor, "n 3"]) -> SeenFrom:
    points = prediction.grids[member].camera_from_index(coords.to(prediction.depth_m.dtype))
    camera = prediction.cameras[member]
    x, y, z = points.unbind(1)
    column = (x / z * camera.fx_px + camera.cx_px + 0.5).floor()
    row = (y / z * camera.fy_px + camera.cy_px + 0.5).floor()
    is_inside = (z > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    column, row = column.clamp(0, camera.width - 1).long(), row.clamp(0, camera.height - 1).long()
    spread = points.new_full((len(points),), _UNKNOWN_LOG_SPREAD)
    if prediction.log_spread is not None:
        spread = prediction.log_spread[member][row, column].to(points.dtype)
    gap = z - prediction.depth_m[member][row, column]
    return SeenFrom(camera.height, camera.width, row, column, is_inside, gap, spread, z.clamp(min=_LEAST).log())


def evidence_of(occupied: Float[Tensor, " n"], seen: SeenFrom) -> Float[Tensor, "n 3"]:
    """Evidence for voxels of one image's grid, in the order of the weights of `ConfidenceConfig`."""
    return torch.stack((occupied.to(seen.log_depth.dtype).logit(_LEAST), seen.log_spread, seen.log_depth), dim=1)


def confidence_of(evidence: Float[Tensor, "n 3"], config: ConfidenceConfig) -> Float[Tensor, " n"]:
    weights = evidence.new_tensor((config.occupied, config.log_spread, config.log_depth))
    return (evidence @ weights + config.bias).sigmoid()
