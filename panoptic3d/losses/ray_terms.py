"""Terms on the maps of layered rays: each a mean over the pixels that have a truth, 0 where none has."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def log_depth_term(
    depth_m: Float[Tensor, "h w"], log_spread: Float[Tensor, "h w"], truth_m: Float[Tensor, "h w"]
) -> Tensor:
    """Negative log likelihood of the log depth under a Laplace distribution: errors count by how sure the map was."""
    is_valid = truth_m > 0
    error = (depth_m.log() - truth_m.clamp(min=1e-3).log()).abs()
    return masked_mean(error * (-log_spread).exp() + log_spread, is_valid)


def depth_error_term(depth_m: Float[Tensor, "h w"], truth_m: Float[Tensor, "h w"]) -> Tensor:
    """Absolute error of the log depth, whatever the spread."""
    return masked_mean((depth_m.log() - truth_m.clamp(min=1e-3).log()).abs(), truth_m > 0)


def slope_term(depth_m: Float[Tensor, "h w"], truth_m: Float[Tensor, "h w"]) -> Tensor:
    """Absolute error of the differences between neighbours of the log depth, at four scales (as MegaDepth's)."""
    error = torch.where(truth_m > 0, depth_m.log() - truth_m.clamp(min=1e-3).log(), 0.0)
    is_valid = truth_m > 0
    total = depth_m.new_zeros(())
    for step in (1, 2, 4, 8):
        for axis in (0, 1):
            length = error.shape[axis] - step
            low, high = error.narrow(axis, 0, length), error.narrow(axis, step, length)
            both = is_valid.narrow(axis, 0, length) & is_valid.narrow(axis, step, length)
            total = total + masked_mean((high - low).abs(), both)
    return total / 4


def pixel_class_term(logits: Float[Tensor, "classes h w"], labels: Int64[Tensor, "h w"]) -> Tensor:
    """Cross entropy over labelled pixels."""
    row = F.cross_entropy(logits[None], labels[None], reduction="none")[0]
    return masked_mean(row, labels > 0)


def plane_term(
    logits: Float[Tensor, "planes h w"], is_occupied: Bool[Tensor, "planes h w"], is_known: Tensor
) -> Tensor:
    """Binary cross entropy, the mean over what lies in the frustum of every ray."""
    row = F.binary_cross_entropy_with_logits(logits, is_occupied.to(logits.dtype), reduction="none")
    return masked_mean(row, is_known)


def masked_mean(values: Tensor, is_counted: Bool[Tensor, "*n"]) -> Tensor:
    return torch.where(is_counted, values, 0.0).sum() / is_counted.sum().clamp(min=1)
