"""What a part of the network costs: ground truth in place of one of its maps, before anything is lifted.

Such a number is no score. It says what a perfect depth, classification, layout or occupancy of planes would be worth to the
volume as it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.race.given_image import MIN_PIXELS, true_instances, with_image_truth
from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.methods.clearview.given import (
    with_true_classes,
    with_true_depth,
    with_true_stance,
    with_true_votes,
)
from panoptic3d.engine.methods.clearview.targets import layout_depth, plane_truth, stance_truth, thing_truth
from panoptic3d.engine.methods.uni3d.pooled import true_segments, with_true_segments
from panoptic3d.errors import InputError
from panoptic3d.models.clearview.maps import VOTES, LayeredEstimate
from panoptic3d.models.pixel_queries.stage import PixelQueries
from panoptic3d.models.slots import Panoptic2D, Seen
from panoptic3d.structures.batch import collate
from panoptic3d.structures.moving import moved
from panoptic3d.structures.sample import Sample

MapName = Literal["depth", "classes", "layout", "planes", "votes", "stance", "instances"]
_SURE_LOGIT = 6.0  # of a plane: about what a network that is right says
_ORDER = (
    "depth",
    "classes",
    "layout",
    "planes",
    "votes",
    "stance",
    "instances",
)  # votes go out from the depth that is there


@dataclass(frozen=True)
class GivenTruthPredictions(NetworkPredictions):
    given: tuple[MapName, ...] = ()

    @property
    def stamp(self) -> str:
        return f"given {sorted(self.given)}: {super().stamp}"

    @torch.inference_mode()
    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        sample, network = moved(data.read(key), self.device), self.network

        def exchange(seen: Seen[Any, Any], number: int) -> Seen[Any, Any]:
            if not isinstance(seen.rays, LayeredEstimate):
                return with_image_truth(seen, sample, self.given, network.lift)
            panoptic, rays = with_truth(seen.panoptic, seen.rays, sample, self.given)
            seen = replace(seen, panoptic=panoptic, rays=rays)
            if "instances" in self.given and isinstance(network.panoptic, PixelQueries):
                truths = true_segments(collate([sample]), seen, sample.taxonomy, MIN_PIXELS)
                return with_true_segments(network.panoptic, seen, truths)
            return seen

        (scene,) = network.infer(sample.image[None], (sample.camera,), exchange=exchange)
        return PredictedVoxels.from_scene(moved(scene, "cpu"))


def with_truth(
    panoptic: Panoptic2D, rays: LayeredEstimate, sample: Sample, given: Sequence[MapName]
) -> tuple[Panoptic2D, LayeredEstimate]:
    """The maps of one image with some of them true. Where a pixel has no truth, what the network said stays."""
    size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
    true_m = _resized(sample.depth_m, size)
    labels, instance = _resized(sample.semantic_2d, size).long(), _resized(sample.instance_2d.double(), size).long()
    for name in sorted(given, key=_ORDER.index):
        match name:
            case "depth":
                rays = with_true_depth(rays, 0, true_m)
            case "classes":
                panoptic = with_true_classes(panoptic, 0, labels)
            case "layout":
                rays = _with_layout(rays, sample)
            case "planes":
                rays = _with_planes(rays, sample)
            case "votes":
                if VOTES not in panoptic.maps or sample.truth is None:
                    raise InputError("this network has no votes for centres; leave `votes` out.")
                things = thing_truth(sample.truth, sample.taxonomy)
                panoptic = with_true_votes(panoptic, rays, 0, sample.truth, things, true_m, instance)
            case "instances":
                panoptic = replace(panoptic, instances=(true_instances(sample),))
            case "stance":
                if rays.stance is None or sample.world_from_camera is None:
                    raise InputError("this network or this sample knows no pose of the camera; leave `stance` out.")
                camera, ceiling = rays.cameras[0], sample.taxonomy.id_of("ceiling")
                rays = with_true_stance(
                    rays, 0, stance_truth(sample.world_from_camera, true_m, labels, camera, ceiling)
                )
    return panoptic, rays


def _with_layout(rays: LayeredEstimate, sample: Sample) -> LayeredEstimate:
    if rays.layout_m is None or sample.truth is None:
        raise InputError("this network has no map of the room's depth; leave `layout` out.")
    true_m = layout_depth(sample.truth, sample.taxonomy, rays.cameras[0])[None]
    return replace(rays, layout_m=torch.where(true_m > 0, true_m.maximum(rays.depth_m), rays.layout_m))


def _with_planes(rays: LayeredEstimate, sample: Sample) -> LayeredEstimate:
    logits, spacing_m = rays.occupancy_logits, rays.plane_spacing_m
    if logits is None or spacing_m is None or sample.truth is None:
        raise InputError("this network has no occupancy of planes; leave `planes` out.")
    is_occupied, is_known = plane_truth(sample.truth, rays.cameras[0], logits.shape[1], spacing_m)
    true = torch.where(is_occupied, _SURE_LOGIT, -_SURE_LOGIT)
    return replace(rays, occupancy_logits=torch.where(is_known, true, logits[0])[None])


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """To the size of a map, without mixing."""
    return F.interpolate(values[None, None], size=size, mode="nearest-exact")[0, 0]
