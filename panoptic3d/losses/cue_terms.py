"""Loss terms for depth that is correct up to a factor, or up to scale and shift (MonoSDF, Yu et al. 2022, 3.3).

Our own depth is fitted to the cue of its image in closed form, with a scale above 0, and what is left is divided by the cue's
own spread. So `a * D + b` with a > 0 costs nothing, and the unit of a cue does not change the weight of its term.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.affine_depth import upright_fit
from panoptic3d.losses.ray_terms import masked_mean
from panoptic3d.structures.given_depth import DepthKind

_LEAST_SPREAD = 1e-6
_STEPS_PX = (1, 2, 4, 8)


def cue_error(
    depth_m: Float[Tensor, "h w"], cue: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"], kind: DepthKind
) -> Float[Tensor, "h w"]:
    """Residual between depth and cue after the fit that the cue's kind allows; 0 where the cue is unknown."""
    weight = is_known.to(depth_m).flatten()
    if kind in ("metric", "scale"):
        gap = torch.where(is_known, depth_m.log() - torch.where(is_known, cue, 1.0).log(), 0.0)
        shift = gap.sum() / weight.sum().clamp(min=1) if kind == "scale" else 0.0
        return torch.where(is_known, gap - shift, 0.0)
    own = 1 / depth_m if kind == "disparity" else depth_m
    target = torch.where(is_known, cue, 0.0)
    fitted = upright_fit(own.flatten(), target.flatten(), weight).of(own.flatten()).view_as(own)
    middle = target.sum() / weight.sum().clamp(min=1)
    spread = masked_mean((target - middle).abs(), is_known).clamp(min=_LEAST_SPREAD)
    return torch.where(is_known, (fitted - target) / spread, 0.0)


def cue_term(error: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"]) -> Tensor:
    return masked_mean(error.abs(), is_known)


def cue_slope_term(error: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"]) -> Tensor:
    """Differences of the error between true neighbours at four scales: both must be known."""
    total = error.new_zeros(())
    for step in _STEPS_PX:
        for axis in (0, 1):
            length = max(error.shape[axis] - step, 0)
            low, high = error.narrow(axis, 0, length), error.narrow(axis, error.shape[axis] - length, length)
            both = is_known.narrow(axis, 0, length) & is_known.narrow(axis, is_known.shape[axis] - length, length)
            total = total + masked_mean((high - low).abs(), both)
    return total / len(_STEPS_PX)


def normal_term(normals: Float[Tensor, "h w 3"], cue: Float[Tensor, "h w 3"], is_known: Bool[Tensor, "h w"]) -> Tensor:
    """L1 of unit vectors plus one minus their cosine."""
    apart = (normals - cue).abs().sum(dim=-1) + 1 - (normals * cue).sum(dim=-1)
    return masked_mean(apart, is_known)
