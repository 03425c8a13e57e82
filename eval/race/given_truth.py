"""What a part of the network costs: ground truth in place of one of its maps, before anything is lifted.

Such a number is no score. It says what a perfect depth, classification, layout or occupancy of planes would be worth to the
volume as it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.methods.clearview.targets import layout_depth, plane_truth
from panoptic3d.errors import InputError
from panoptic3d.models.clearview.maps import SEMANTICS, LayeredEstimate
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.moving import moved
from panoptic3d.structures.prediction import Prediction
from panoptic3d.structures.sample import Sample

MapName = Literal["depth", "classes", "layout", "planes"]
_SURE_LOGIT = 6.0  # of a class or a plane: about what a network that is right says


@dataclass(frozen=True)
class GivenTruthPredictions(NetworkPredictions):
    given: tuple[MapName, ...] = ()

    @property
    def stamp(self) -> str:
        return f"given {sorted(self.given)}: {super().stamp}"

    @torch.inference_mode()
    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        sample, network = moved(data.read(key), self.device), self.network
        fitted = network.fit(sample.image[None], (sample.camera,))
        pyramid = network.trunk(fitted.pixels)
        panoptic = network.panoptic(pyramid, fitted.cameras)
        rays = network.rays(pyramid, fitted.cameras, panoptic)
        if not isinstance(rays, LayeredEstimate):
            raise InputError(f"{self.folder} has no layered rays to exchange; give a checkpoint of clearview.")
        panoptic, rays = with_truth(panoptic, rays, sample, self.given)
        lifted = network.lift(rays, panoptic)
        said = Prediction(
            cameras=rays.cameras,
            grids=lifted.grids,
            depth_m=rays.depth_m,
            instances=panoptic.instances,
            levels=network.voxel_net(lifted),
            maps=panoptic.maps,
        )
        (scene,) = network.decode(said)
        return PredictedVoxels.from_scene(replace(moved(scene, "cpu"), camera=sample.camera))


def with_truth(
    panoptic: Panoptic2D, rays: LayeredEstimate, sample: Sample, given: Sequence[MapName]
) -> tuple[Panoptic2D, LayeredEstimate]:
    """The maps of one image with some of them true. Where a pixel has no truth, what the network said stays."""
    for name in given:
        match name:
            case "classes":
                panoptic = _with_classes(panoptic, sample)
            case "depth":
                true_m = _resized(sample.depth_m[None], rays.depth_m)
                rays = replace(rays, depth_m=torch.where(true_m > 0, true_m, rays.depth_m))
            case "layout":
                rays = _with_layout(rays, sample)
            case "planes":
                rays = _with_planes(rays, sample)
    return panoptic, rays


def _with_classes(panoptic: Panoptic2D, sample: Sample) -> Panoptic2D:
    logits = panoptic.maps[SEMANTICS]
    labels = _resized(sample.semantic_2d[None].float(), logits[:, 0]).long()
    is_class = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).bool()
    true = torch.where(is_class, _SURE_LOGIT, -_SURE_LOGIT)
    return replace(panoptic, maps={**panoptic.maps, SEMANTICS: torch.where(labels[:, None] > 0, true, logits)})


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


def _resized(values: Tensor, like: Tensor) -> Tensor:
    """To the size of a map, without mixing."""
    return F.interpolate(values[:, None], size=like.shape[1:], mode="nearest-exact")[:, 0]
