"""Loss terms on the rows of a sparse level. Each is a mean over rows, and 0 without rows."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def occupancy_term(logit: Float[Tensor, " n"], is_occupied: Bool[Tensor, " n"], weight: Float[Tensor, " n"]) -> Tensor:
    """Binary cross entropy, row by row times its weight."""
    return _mean(weight * F.binary_cross_entropy_with_logits(logit, is_occupied.to(logit.dtype), reduction="none"))


def occupancy_term_averaged_first(
    logit: Float[Tensor, " n"], is_occupied: Bool[Tensor, " n"], weight: Float[Tensor, " n"]
) -> Tensor:
    """The reference's at 256^3: the weights act through their mean only (section 10, 15)."""
    return occupancy_term(logit, is_occupied, torch.ones_like(weight)) * _mean(weight)


def class_term(
    logits: Float[Tensor, "n classes"],
    labels: Int64[Tensor, " n"],
    weight: Float[Tensor, " n"],
    class_weights: Float[Tensor, " classes"],
) -> Tensor:
    """Cross entropy times the weight of the row and of its class; not divided by the sum of class weights."""
    return _mean(weight * F.cross_entropy(logits, labels, weight=class_weights, reduction="none"))


def distance_term(
    distance_vox: Float[Tensor, " n"],
    truth_vox: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    truncation_vox: float,
) -> Tensor:
    """Absolute error of the truncated distance. Beyond the truncation nothing pulls."""
    return _mean(weight * (distance_vox.clamp(0, truncation_vox) - truth_vox).abs())


def _mean(rows: Float[Tensor, " n"]) -> Tensor:
    return rows.sum() / max(len(rows), 1)
