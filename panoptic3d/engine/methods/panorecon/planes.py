"""Occupancy of planes under PanoRecon's training: for rays that have them, as a lift by occupancy wants them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from panoptic3d.engine.methods.buol.planes import PlaneTargets, plane_targets
from panoptic3d.engine.methods.buol.truth import TRUE_LOGIT
from panoptic3d.engine.methods.panorecon.image_truth import ImageTruth
from panoptic3d.errors import InputError
from panoptic3d.losses.centre_terms import plane_term
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.lift import grid_of
from panoptic3d.models.occupancy_lift.projection import voxel_pixels
from panoptic3d.models.pipeline import needed
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import RayEstimate
from panoptic3d.structures.batch import Batch


def targets_of(
    batch: Batch, rays: RayEstimate, truths: Sequence[ImageTruth], method: PipelineConfig
) -> list[PlaneTargets]:
    if not batch.truths:
        raise InputError("planes learn from voxels, and these samples have none; read them with voxels.")
    lift = needed(method.lift, OccupancyLiftConfig)
    num_planes, spacing_m = len(rays.planes), rays.planes.spacing_m
    return [
        plane_targets(
            truth, voxel_pixels(camera, grid_of(camera, lift), lift), seen.depth_m, num_planes, spacing_m, "any"
        )
        for truth, camera, seen in zip(batch.truths, rays.cameras, truths, strict=True)
    ]


def plane_terms(
    batch: Batch, rays: RayEstimate, truths: Sequence[ImageTruth], method: PipelineConfig, weight: float
) -> list[dict[str, Tensor]]:
    """One a sample; nothing for rays without planes."""
    if rays.occupancy_logits is None:
        return [{} for _ in truths]
    planes = targets_of(batch, rays, truths, method)
    return [
        {"planes": weight * plane_term(logits, plane.is_occupied, plane.is_asked, truth.depth_m != 0)}
        for logits, plane, truth in zip(rays.occupancy_logits, planes, truths, strict=True)
    ]


def with_true_planes(
    batch: Batch, rays: RayEstimate, truths: Sequence[ImageTruth], method: PipelineConfig
) -> RayEstimate:
    if rays.occupancy_logits is None:
        return rays
    occupied = torch.stack([plane.is_occupied for plane in targets_of(batch, rays, truths, method)])
    return replace(rays, occupancy_logits=torch.where(occupied, TRUE_LOGIT, -TRUE_LOGIT).to(rays.occupancy_logits))
