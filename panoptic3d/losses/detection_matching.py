"""Match anchors and boxes with the ground truth by overlap, and sample a bounded number of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.geometry.boxes import iou


@dataclass(frozen=True, eq=False)
class Matches:
    """Row by row: the truth that a box belongs to, and whether it counts as something, as nothing, or not at all."""

    truth: Int64[Tensor, " n"]
    is_positive: Bool[Tensor, " n"]
    is_negative: Bool[Tensor, " n"]


class MatchingConfig(Config):
    min_positive_iou: float
    max_negative_iou: float
    num_sampled: int
    positive_share: float
    keeps_best: bool  # the best anchor of each true box is a positive, however little it overlaps


class AnchorMatchingConfig(MatchingConfig):
    min_positive_iou: float = 0.7
    max_negative_iou: float = 0.3
    num_sampled: int = 256
    positive_share: float = 0.5
    keeps_best: bool = True


class RoiMatchingConfig(MatchingConfig):
    min_positive_iou: float = 0.5
    max_negative_iou: float = 0.5
    num_sampled: int = 512
    positive_share: float = 0.25
    keeps_best: bool = False


def match_boxes(boxes: Float[Tensor, "n 4"], truth: Float[Tensor, "m 4"], config: MatchingConfig) -> Matches:
    """Without any truth every box is a negative."""
    if len(truth) == 0:
        nothing = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
        return Matches(torch.zeros_like(nothing, dtype=torch.int64), nothing, ~nothing)
    overlap = iou(boxes, truth)
    best, which = overlap.max(dim=1)
    is_positive = best >= config.min_positive_iou
    if config.keeps_best:
        is_positive = is_positive | (overlap == overlap.amax(dim=0)).logical_and(overlap > 0).any(dim=1)
    return Matches(which, is_positive, (best < config.max_negative_iou) & ~is_positive)


def sampled(
    matches: Matches, is_eligible: Bool[Tensor, " n"], config: MatchingConfig, generator: torch.Generator
) -> tuple[Int64[Tensor, " p"], Int64[Tensor, " q"]]:
    """Rows of positives and negatives: at most the share of positives, the rest of the sample negatives."""
    positives = (matches.is_positive & is_eligible).nonzero()[:, 0]
    negatives = (matches.is_negative & is_eligible).nonzero()[:, 0]
    positives = _drawn(positives, int(config.num_sampled * config.positive_share), generator)
    return positives, _drawn(negatives, config.num_sampled - len(positives), generator)


def _drawn(rows: Int64[Tensor, " n"], count: int, generator: torch.Generator) -> Int64[Tensor, " k"]:
    order = torch.randperm(len(rows), generator=generator, device=generator.device)[:count]
    return rows[order.to(rows.device)].sort().values
