"""The terms of the 2D stage: the prediction behind every layer against the segments of the image, matched anew each time."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.engine.methods.uni3d.config import QueryTermsConfig
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth
from panoptic3d.losses.query_matching import assigned, matching_cost
from panoptic3d.losses.query_terms import (
    dice_term,
    grid_points,
    mask_term,
    query_class_term,
    random_points,
    read_points,
    segment_depth_term,
    uncertain_points,
)
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps

_FINE_STRIDE = 4  # of masks and depth
Stream = Callable[..., torch.Generator]  # purpose -> the random generator for it
Pairs = tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]  # queries and their targets


def query_terms(
    said: QueryMaps,
    member: int,
    truth: SegmentTruth,
    num_targets: float,
    depth_scale_m: float,
    config: QueryTermsConfig,
    stream: Stream,
) -> dict[str, Tensor]:
    """Weighted terms of one image and one layer. Sums over matched pairs are divided by `num_targets`."""
    queries, targets = matched_pairs(said, member, truth, config, stream("matching"))
    labels = torch.full((said.class_logits.shape[1],), said.class_logits.shape[2] - 1, device=queries.device)
    labels[queries] = truth.class_ids[targets]
    masks, is_inside = said.mask_logits[member, queries], truth.masks[targets].float()
    points = _points(masks.detach(), config, stream("points"))
    logits, inside = read_points(masks, points), read_points(is_inside, points)
    depth_m = said.depth_share[member, queries] * depth_scale_m
    true_depth = (truth.depth_m * is_inside)[:, ::_FINE_STRIDE, ::_FINE_STRIDE]
    return {
        "query_class": config.class_weight
        * query_class_term(said.class_logits[member], labels, config.no_object_weight),
        "query_mask": config.mask_weight * mask_term(logits, inside) / num_targets,
        "query_dice": config.dice_weight * dice_term(logits, inside) / num_targets,
        "query_depth": config.depth_weight * segment_depth_term(depth_m, true_depth) / num_targets,
    }


@torch.no_grad()
def matched_pairs(
    said: QueryMaps, member: int, truth: SegmentTruth, config: QueryTermsConfig, generator: torch.Generator
) -> Pairs:
    device = said.class_logits.device
    if config.points == "grid":
        points = grid_points(config.num_points).to(device)
    else:
        points = random_points(config.num_points, generator, device)
    cost = matching_cost(
        said.class_logits[member].float(),
        _at(said.mask_logits[member].float(), points),
        truth.class_ids,
        _at(truth.masks.float(), points),
        config.matching,
    )
    return assigned(cost)


def _points(
    masks: Float[Tensor, "m h w"], config: QueryTermsConfig, generator: torch.Generator
) -> Float[Tensor, "m points 2"]:
    if config.points == "grid":
        return grid_points(config.num_points).to(masks.device).expand(len(masks), -1, -1)
    return uncertain_points(masks, config.num_points, config.oversample, config.uncertain_share, generator)


def _at(maps: Float[Tensor, "n h w"], points: Float[Tensor, "p 2"]) -> Float[Tensor, "n p"]:
    """All maps at the same points."""
    grid = (2 * points - 1)[None, None]
    return F.grid_sample(maps[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0, :, 0]
