"""Ground truth in place of the 2D stage of methods whose rays have no layers: PanoRecon's and its kin."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.data.targets import instances_of_maps
from panoptic3d.engine.methods.buol.planes import plane_targets
from panoptic3d.engine.methods.buol.truth import TRUE_LOGIT
from panoptic3d.errors import InputError
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.lift import grid_of
from panoptic3d.models.occupancy_lift.projection import voxel_pixels
from panoptic3d.models.slots import Panoptic2D, RayEstimate, Seen
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.sample import Sample

MIN_PIXELS = 20


def with_image_truth(
    seen: Seen[Panoptic2D, RayEstimate], sample: Sample, given: Sequence[str], lift: Any
) -> Seen[Panoptic2D, RayEstimate]:
    """Of one image. A pixel without measured depth lifts nothing."""
    unknown = [name for name in given if name not in ("depth", "planes", "instances")]
    if unknown:
        raise InputError(
            f"this network has no map `{unknown[0]}` to exchange; choose from depth, planes and instances."
        )
    rays, panoptic = seen.rays, seen.panoptic
    size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
    depth_m = F.interpolate(sample.depth_m[None, None], size=size, mode="nearest-exact")[0, 0]
    if "depth" in given:
        rays = replace(rays, depth_m=depth_m[None])
    if "planes" in given:
        rays = replace(rays, occupancy_logits=_plane_logits(rays, sample, depth_m, lift)[None])
    if "instances" in given:
        panoptic = replace(panoptic, instances=(true_instances(sample),))
    return replace(seen, rays=rays, panoptic=panoptic)


def _plane_logits(rays: RayEstimate, sample: Sample, depth_m: Tensor, lift: Any) -> Tensor:
    logits, spacing_m, config = rays.occupancy_logits, rays.plane_spacing_m, getattr(lift, "config", None)
    if logits is None or spacing_m is None or sample.truth is None or not isinstance(config, OccupancyLiftConfig):
        raise InputError("this network has no occupancy of planes; leave `planes` out.")
    table = voxel_pixels(rays.cameras[0], grid_of(rays.cameras[0], config), config)
    planes = plane_targets(sample.truth, table, depth_m, logits.shape[1], spacing_m, "any")
    return torch.where(planes.is_occupied, TRUE_LOGIT, -TRUE_LOGIT)


def true_instances(sample: Sample) -> Instances2D:
    """What a perfect detector would say of the photo. Things of a few pixels count."""
    found = instances_of_maps(sample.semantic_2d, sample.instance_2d, sample.taxonomy, MIN_PIXELS, None)
    device = sample.depth_m.device
    return Instances2D(
        camera=sample.camera,
        boxes_px=found.boxes.float(),
        class_ids=torch.tensor(found.classes, dtype=torch.int64, device=device),
        scores=torch.ones(len(found.ids), device=device),
        masks=found.masks.float(),
        is_confident=torch.ones(len(found.ids), dtype=torch.bool, device=device),
    )
