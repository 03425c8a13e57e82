"""Terms of bottom-up grouping: classes and heat maps by weighted means, offsets by absolute errors (BUOL, section 7)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

EPS = 1e-7


def weighted_class_term(
    logits: Float[Tensor, "c h w"], labels: Int64[Tensor, "h w"], weight: Float[Tensor, "h w"]
) -> Tensor:
    """Cross entropy, divided by the sum of the weights."""
    return (weight * F.cross_entropy(logits[None], labels[None], reduction="none")[0]).sum() / (weight.sum() + EPS)


def heat_term(
    heat: Float[Tensor, "*n"], wanted: Float[Tensor, "*n"], is_asked: Bool[Tensor, "*n"] | None = None
) -> Tensor:
    """Mean squared error of the heat map, inside of the mask if there is one."""
    asked = torch.ones_like(heat) if is_asked is None else is_asked.to(heat.dtype)
    return (asked * (heat - wanted).square()).sum() / (asked.sum() + EPS)


def offset_term(
    offsets: Float[Tensor, "2 h w"], wanted: Float[Tensor, "2 h w"], is_thing: Bool[Tensor, "h w"]
) -> Tensor:
    """Mean absolute error over both channels of the pixels of things."""
    return ((offsets - wanted).abs() * is_thing).sum() / (2 * is_thing.sum() + EPS)


def voxel_offset_term(offsets: Float[Tensor, "n 3"], wanted: Float[Tensor, "n 3"]) -> Tensor:
    """Absolute errors of a voxel added up, over the voxels that have somewhere to point at."""
    has_target = (wanted != 0).any(dim=1)
    return ((offsets - wanted).abs().sum(dim=1) * has_target).sum() / (has_target.sum() + EPS)


def plane_term(
    logits: Float[Tensor, "p h w"],
    is_occupied: Bool[Tensor, "p h w"],
    is_asked: Bool[Tensor, "p h w"],
    has_depth: Bool[Tensor, "h w"],
) -> Tensor:
    """Binary cross entropy over the asked cells of pixels with depth, divided by the number of those pixels.

    Logarithms end at -100, as torch's cross entropy of probabilities has them.
    """
    asked = is_asked & has_depth
    target = is_occupied[asked].to(logits.dtype)
    chosen = logits[asked]
    cost = -(target * F.logsigmoid(chosen).clamp(min=-100) + (1 - target) * F.logsigmoid(-chosen).clamp(min=-100))
    return cost.sum() / (has_depth.sum() + EPS)
