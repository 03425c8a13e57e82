"""Depth errors with a declared alignment: after a fit to the truth a map has no scale to be right or wrong about."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from panoptic3d.geometry.affine_depth import affine_fit, scale_fit

DepthAlignment = Literal["none", "median", "scale", "scale_shift"]
_FLAT_M = 1e-6


@dataclass(frozen=True)
class DepthScores:
    """Over the pixels that both maps have; depth along the optical axis in metres."""

    num_pixels: int
    abs_rel: float
    rmse_m: float
    rmse_log: float
    scale_invariant_log: float  # spread of log errors: Eigen et al. 2014, equation 1 with lambda 1, square root
    within_1_25: float
    within_1_25_squared: float
    within_1_25_cubed: float
    alignment: DepthAlignment
    scale: float
    shift_m: float


def depth_scores(
    depth_m: Float[np.ndarray, "h w"],
    truth_m: Float[np.ndarray, "h w"],
    alignment: DepthAlignment = "none",
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> DepthScores | None:
    """None where no pixel has both a true and a predicted depth. Not measured is 0."""
    is_valid = np.isfinite(depth_m) & np.isfinite(truth_m) & (depth_m > 0) & (truth_m > 0)
    if mask is not None:
        is_valid &= mask
    if not is_valid.any():
        return None
    predicted, truth = depth_m[is_valid].astype(np.float64), truth_m[is_valid].astype(np.float64)
    scale, shift = _fit(predicted, truth, alignment)
    aligned = np.maximum(scale * predicted + shift, 1e-3)  # a shift may push near pixels behind the camera
    log_error = np.log(aligned) - np.log(truth)
    ratio = np.exp(np.abs(log_error))
    return DepthScores(
        num_pixels=int(is_valid.sum()),
        abs_rel=float((np.abs(aligned - truth) / truth).mean()),
        rmse_m=float(np.sqrt(((aligned - truth) ** 2).mean())),
        rmse_log=float(np.sqrt((log_error**2).mean())),
        scale_invariant_log=float(log_error.std()),
        within_1_25=float((ratio < 1.25).mean()),
        within_1_25_squared=float((ratio < 1.25**2).mean()),
        within_1_25_cubed=float((ratio < 1.25**3).mean()),
        alignment=alignment,
        scale=scale,
        shift_m=shift,
    )


def _fit(
    predicted: Float64[np.ndarray, " n"], truth: Float64[np.ndarray, " n"], alignment: DepthAlignment
) -> tuple[float, float]:
    """Scale and shift. A mirrored depth fits with a negative scale, a flat one with any: there only the scale is fitted."""
    match alignment:
        case "none":
            return 1.0, 0.0
        case "median":
            return float(np.median(truth) / np.median(predicted)), 0.0
        case "scale":
            return float(scale_fit(*_columns(predicted, truth))), 0.0
        case "scale_shift":
            fit = affine_fit(*_columns(predicted, truth))
            if fit.scale <= 0 or np.ptp(predicted) < _FLAT_M:
                return _fit(predicted, truth, "scale")
            return float(fit.scale), float(fit.shift)


def _columns(predicted: np.ndarray, truth: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """As the fits want them, every pixel with the same weight."""
    source = torch.from_numpy(predicted)
    return source, torch.from_numpy(truth), torch.ones_like(source)
