"""Confidence of a voxel: the chance that a true surface of its class is within a voxel of it.

A logistic regression on what the network says there: the logit of P(occupied), the spread of the ray's log depth, and how
far away the voxel is, because an error of some per cent is more voxels there. Fitted on validation rooms by
`python -m eval.fusion.confidence --fit`; docs/experiments/2026-12-01-fusion.md has what else was tried, P(label) among it.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.models.clearview.config import ConfidenceConfig
from panoptic3d.structures.prediction import Prediction

_LEAST = 1e-4  # lower bound of a probability and of its complement
_UNKNOWN_LOG_SPREAD = -2.4  # for networks without a spread: the median of clearview


def evidence_of(
    prediction: Prediction,
    member: int,
    coords: Int64[Tensor, "n 3"],
    occupied: Float[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Evidence for voxels of one image's grid, in the order of the weights of `ConfidenceConfig`."""
    points = prediction.grids[member].camera_from_index(coords.to(prediction.depth_m.dtype))
    spread = points.new_full((len(points),), _UNKNOWN_LOG_SPREAD)
    if prediction.log_spread is not None:
        camera = prediction.cameras[member]
        x, y, z = points.unbind(1)
        column = (x / z * camera.fx_px + camera.cx_px + 0.5).floor().clamp(0, camera.width - 1).long()
        row = (y / z * camera.fy_px + camera.cy_px + 0.5).floor().clamp(0, camera.height - 1).long()
        spread = prediction.log_spread[member][row, column].to(points.dtype)
    return torch.stack((occupied.to(points.dtype).logit(_LEAST), spread, points[:, 2].clamp(min=_LEAST).log()), dim=1)


def confidence_of(evidence: Float[Tensor, "n 3"], config: ConfidenceConfig) -> Float[Tensor, " n"]:
    weights = evidence.new_tensor((config.occupied, config.log_spread, config.log_depth))
    return (evidence @ weights + config.bias).sigmoid()
