"""Uni-3D's 3D queries over dense maps: the segments of the picture are the queries, and the voxel net learns whose voxels
are whose. The maps come trained from their own method (`start_from` with `start_from_slots`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from panoptic3d.config import Config
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.clearview.given import with_true_depth
from panoptic3d.engine.methods.uni3d.config import PooledQuerySettings
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, nearest, segment_truth
from panoptic3d.engine.methods.uni3d.voxel_terms import query_voxel_terms
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.losses.voxel_objective import finest_stride
from panoptic3d.models.clearview.maps import ClassMaps, LayeredEstimate
from panoptic3d.models.frustum_unet.query_net import QueryUNet
from panoptic3d.models.pipeline import Pipeline, needed
from panoptic3d.models.pixel_queries.config import PixelQueriesConfig
from panoptic3d.models.pixel_queries.segments import Segments
from panoptic3d.models.pixel_queries.stage import PixelQueries
from panoptic3d.models.slots import FeatureLifted, Seen
from panoptic3d.models.uni3d.config import Uni3dConfig
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.prediction import InstanceSurface, LevelPrediction, Levels
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import Taxonomy

MapsSeen = Seen[ClassMaps, LayeredEstimate]
QueriesOverMaps = Pipeline[ClassMaps, LayeredEstimate, FeatureLifted, Levels[LevelPrediction, InstanceSurface]]


class PooledQueryMethod(Method):
    """Trains the voxel net and the embedding of segments."""

    settings_kind: ClassVar[type[Config]] = PooledQuerySettings
    network: QueriesOverMaps
    network_config: Uni3dConfig

    def __init__(self, settings: PooledQuerySettings) -> None:
        super().__init__()
        self.settings, self.network_config = settings, settings.network
        needed(settings.network.panoptic, PixelQueriesConfig)
        self.network = settings.network.build()
        self.taxonomy = settings.network.classes
        self.train()

    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        slots, stage = dict(self.network.named_children()), needed(self.network.panoptic, PixelQueries)
        maps = [module for name, module in stage.named_children() if name != "embed"]
        return {"2d": (slots["trunk"], *maps, slots["rays"]), "3d": (stage.embed, slots["voxel_net"])}

    def train(self, mode: bool = True) -> "PooledQueryMethod":
        super().train(mode)
        for module in self.parts()["2d"]:
            module.eval()
        return self

    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        was_training = self.training
        self.eval()
        try:
            return self.network.infer(batch.image, batch.cameras)
        finally:
            self.train(was_training)

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        if self.trains("2d"):
            raise ConfigError(
                "this method trains `3d` alone; its maps are clearview's, which `method: clearview` trains."
            )
        if not batch.truths:
            raise InputError("the 3D stage learns from voxels, and these samples have none; read them with voxels.")
        with torch.no_grad():
            seen = self.network.see(batch.image, batch.cameras)
        truths = true_segments(batch, seen, self.taxonomy, self.settings.min_pixels)
        seen = with_true_segments(needed(self.network.panoptic, PixelQueries), seen, truths)
        if self.settings.supply.depth == "truth":
            seen = with_measured_depth(batch, seen)
        seen = replace(seen, grids=tuple(truth.grid for truth in batch.truths))
        net = needed(self.network.voxel_net, QueryUNet)
        until = finest_stride(step, self.settings.curriculum)
        levels = self.network.complete(seen, voxel_net=partial(net, up_to_stride=until)).levels
        total: dict[str, Tensor] = {}
        for member, (truth, segments) in enumerate(zip(batch.truths, truths, strict=True)):
            own = [level.of_member(member) for level in levels]
            targets, count = torch.arange(len(segments), device=batch.image.device), float(max(len(segments), 1))
            terms = query_voxel_terms(own, truth, segments, targets, count, self.settings.voxel_terms)
            for name, term in terms.items():
                total[name] = total.get(name, 0.0) + term / len(batch)
        return total


def true_segments(batch: Batch, seen: MapsSeen, taxonomy: Taxonomy, min_pixels: int) -> tuple[SegmentTruth, ...]:
    fitted = seen.fitted
    size = (fitted.pixels.shape[2], fitted.pixels.shape[3])
    return tuple(
        segment_truth(batch, member, camera, size, taxonomy, min_pixels) for member, camera in enumerate(fitted.cameras)
    )


def with_true_segments(stage: PixelQueries, seen: MapsSeen, truths: Sequence[SegmentTruth]) -> MapsSeen:
    """True segments ask for voxels, and their classes are lifted."""
    size = (seen.rays.depth_m.shape[1], seen.rays.depth_m.shape[2])
    segments = [
        Segments(
            masks=F.interpolate(truth.masks[None].float(), size=size, mode="nearest-exact")[0] > 0.5,
            class_ids=truth.class_ids,
            scores=torch.ones(len(truth), device=truth.depth_m.device),
        )
        for truth in truths
    ]
    return replace(seen, panoptic=stage.given(seen.panoptic, segments, seen.fitted.cameras))


def with_measured_depth(batch: Batch, seen: MapsSeen) -> MapsSeen:
    rays = seen.rays
    size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
    for member in range(len(batch)):
        rays = with_true_depth(rays, member, nearest(batch.depth_m[member], size))
    return replace(seen, rays=rays)
