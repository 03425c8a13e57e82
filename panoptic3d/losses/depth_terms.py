"""Depth, its gradient and its normals (Hu et al., WACV 2019; PanoRecon, section 4.1). Pixels without truth do not count."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.precision import without_autocast

_SOBEL = (
    ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
)
_SOFTENING = 0.5  # in metres, and in metres a pixel times the kernel's gain


def depth_terms(depth_m: Float[Tensor, "b h w"], truth_m: Float[Tensor, "b h w"]) -> dict[str, Tensor]:
    """The three terms; 0 where no pixel has truth."""
    is_valid = truth_m != 0
    slope, true_slope = sobel(depth_m), sobel(truth_m)
    cosine = F.cosine_similarity(_normals(slope), _normals(true_slope), dim=1)
    return {
        "depth": _log_error(depth_m - truth_m, is_valid),
        "depth_gradient": sum(
            (_log_error(difference, is_valid) for difference in (slope - true_slope).unbind(dim=1)),
            depth_m.new_zeros(()),
        ),
        "depth_normal": _mean((1 - cosine).abs(), is_valid),
    }


def sobel(depth_m: Float[Tensor, "b h w"]) -> Float[Tensor, "b 2 h w"]:
    """Across and down, with zeros around the image. In the depth's own precision: half would round every length to it."""
    with without_autocast(depth_m.device):
        return F.conv2d(depth_m[:, None], depth_m.new_tensor(_SOBEL)[:, None], padding=1)


def _normals(slope: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 3 h w"]:
    return torch.cat((-slope, torch.ones_like(slope[:, :1])), dim=1)


def _log_error(difference: Float[Tensor, "b h w"], is_valid: Bool[Tensor, "b h w"]) -> Tensor:
    return _mean((difference.abs() + _SOFTENING).log(), is_valid)


def _mean(values: Float[Tensor, "b h w"], is_valid: Bool[Tensor, "b h w"]) -> Tensor:
    return torch.where(is_valid, values, 0).sum() / is_valid.sum().clamp(min=1)
