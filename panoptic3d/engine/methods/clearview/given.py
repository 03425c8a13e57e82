"""True maps in place of the network's, for some training samples, and to measure what better maps would be worth."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.engine.methods.clearview.targets import StanceTruth, ThingTruth, vote_truth
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.models.clearview.maps import SEMANTICS, VOTE_SPREAD, VOTES, LayeredEstimate
from panoptic3d.models.clearview.stance import Stance
from panoptic3d.models.slots import PanopticT
from panoptic3d.structures.sample import VoxelTruth

MEASURED_LOG_SPREAD = -4.0  # log spread of measured depth and of true votes: errors of two per cent
_SURE_LOGIT = 6.0  # logit of a true class: about that of a correct, confident network


def with_true_depth(
    rays: LayeredEstimate, number: int, true_m: Float[Tensor, "h w"], scale: float = 1.0
) -> LayeredEstimate:
    """Replace the depth of one image of the batch by the true one. Pixels without truth keep the network's depth."""
    is_known = true_m > 0
    depth_m, spread = rays.depth_m.clone(), rays.log_spread.clone()
    depth_m[number] = torch.where(is_known, true_m * scale, depth_m[number])
    spread[number] = torch.where(is_known, MEASURED_LOG_SPREAD, spread[number])
    measured = None if rays.measured is None else rays.measured.clone()
    if measured is not None:
        measured[number] = is_known.to(measured)
    return replace(rays, depth_m=depth_m, log_spread=spread, measured=measured)


def with_true_classes(panoptic: PanopticT, number: int, labels: Int64[Tensor, "h w"]) -> PanopticT:
    logits = panoptic.maps[SEMANTICS].clone()
    is_class = F.one_hot(labels, logits.shape[1]).movedim(-1, 0).bool()
    true = torch.where(is_class, _SURE_LOGIT, -_SURE_LOGIT).to(logits)
    logits[number] = torch.where(labels > 0, true, logits[number])
    return replace(panoptic, maps={**panoptic.maps, SEMANTICS: logits})


def with_true_votes(
    panoptic: PanopticT,
    rays: LayeredEstimate,
    number: int,
    truth: VoxelTruth,
    things: ThingTruth,
    true_m: Float[Tensor, "h w"],
    instance: Int64[Tensor, "h w"],
) -> PanopticT:
    """For whatever depth the rays have: what counts is where a vote ends."""
    if VOTES not in panoptic.maps:
        return panoptic
    camera = rays.cameras[number]
    offset_m, thing = vote_truth(truth, things, true_m, instance, camera)
    intrinsics = camera.intrinsics.to(true_m)
    moved_m = unproject_depth_map(true_m, intrinsics) - unproject_depth_map(rays.depth_m[number].detach(), intrinsics)
    votes, spread = panoptic.maps[VOTES].clone(), panoptic.maps[VOTE_SPREAD].clone()
    votes[number] = torch.where(thing > 0, offset_m + moved_m.permute(2, 0, 1), votes[number])
    spread[number] = torch.where(thing > 0, MEASURED_LOG_SPREAD, spread[number])
    return replace(panoptic, maps={**panoptic.maps, VOTES: votes, VOTE_SPREAD: spread})


def with_true_stance(rays: LayeredEstimate, number: int, truth: StanceTruth | None) -> LayeredEstimate:
    if rays.stance is None or truth is None:
        return rays
    down, floor_m, ceiling_m = rays.stance.down.clone(), rays.stance.floor_m.clone(), rays.stance.ceiling_m.clone()
    down[number], floor_m[number] = truth.down, truth.floor_m
    if len(truth.ceilings_m):
        ceiling_m[number] = truth.ceilings_m.median()
    return replace(rays, stance=Stance(down, floor_m, ceiling_m))
