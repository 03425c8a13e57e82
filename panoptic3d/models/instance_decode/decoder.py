"""Prediction to scenes."""

from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from panoptic3d.geometry.pinhole import project
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.instance_decode.labels import Labelled, panoptic_labels, stuff_classes
from panoptic3d.models.instance_decode.pieces import is_island
from panoptic3d.models.instance_decode.scores import detection_scores, likeliest, mean_agreement
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import LevelPrediction, Levels, Prediction, SurfaceLevel
from panoptic3d.structures.scene import SURFACE_ISO_VOX, PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


class InstanceDecode:
    """Without weights: a function with its thresholds."""

    config_kind: ClassVar = InstanceDecodeConfig

    @classmethod
    def built(cls, config: InstanceDecodeConfig, method: PipelineConfig) -> "InstanceDecode":
        return cls(config, method.classes)

    def __init__(self, config: InstanceDecodeConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(self, prediction: Prediction[Levels[LevelPrediction, SurfaceLevel]]) -> tuple[PanopticScene, ...]:
        finest = prediction.levels.finest
        return tuple(self._scene(prediction, finest, member) for member in range(len(prediction.cameras)))

    def _scene(self, prediction: Prediction, finest: SurfaceLevel, member: int) -> PanopticScene:
        grid, instances = prediction.grids[member], prediction.instances[member]
        rows = finest.voxels.rows_of(member)
        coords = finest.voxels.coords[rows, 1:]
        bias_vox = self.config.iso_vox - SURFACE_ISO_VOX
        distance = (finest.distance_vox[rows] - bias_vox).clamp(0, self.config.truncation_vox)
        if self.config.clean == "fragments":
            is_kept = ~is_island(coords, distance < SURFACE_ISO_VOX, self.config)
            rows = rows.nonzero()[:, 0][is_kept]
            coords, distance = coords[is_kept], distance[is_kept]
        channel, channel_probability = likeliest(finest.instance_logits[rows])
        instance = parted(channel, coords, grid, instances, finest.instance_logits.shape[1])
        semantic, class_probability = likeliest(finest.semantic_logits[rows])
        labelled = panoptic_labels(
            coords,
            distance,
            instance,
            semantic,
            self._num_kept(instances),
            self.taxonomy,
            self.config,
        )
        scene = self._dense(prediction, member, coords, distance, labelled)
        return self._scored(scene, labelled.panoptic_ids, instances, instance, channel_probability, class_probability)

    def _num_kept(self, instances: Instances2D) -> int:
        every = self.config.channels == "detections"
        return len(instances) if every else int(instances.is_confident.sum())

    def _dense(
        self,
        prediction: Prediction,
        member: int,
        coords: Int[Tensor, "n 3"],
        distance: Tensor,
        labelled: Labelled,
    ) -> PanopticScene:
        grid, ids = prediction.grids[member], labelled.panoptic_ids
        num_stuff = len(stuff_classes(self.taxonomy, self.config))
        class_of_id = torch.zeros(max(labelled.class_of_id, default=0) + 1, dtype=torch.uint8, device=ids.device)
        for number, class_id in labelled.class_of_id.items():
            class_of_id[number] = class_id
        cells = linear_index(coords, grid.shape)
        volumes = [
            distance.new_full((grid.num_points,), self.config.truncation_vox).index_copy_(0, cells, distance),
            torch.zeros(grid.num_points, dtype=torch.uint8, device=ids.device).index_copy_(0, cells, class_of_id[ids]),
            torch.zeros(grid.num_points, dtype=torch.int32, device=ids.device).index_copy_(
                0, cells, (ids - num_stuff).clamp(min=0).int()
            ),
        ]
        distance_vox, semantic, instance_volume = (volume.view(grid.shape) for volume in volumes)
        return PanopticScene(
            distance_vox=distance_vox,
            semantic=semantic,
            instance=instance_volume,
            camera=prediction.cameras[member],
            grid=grid,
            taxonomy=self.taxonomy,
        )

    def _scored(
        self,
        scene: PanopticScene,
        ids: Int64[Tensor, " n"],
        instances: Instances2D,
        instance: Int64[Tensor, " n"],
        instance_probability: Float[Tensor, " n"],
        class_probability: Float[Tensor, " n"],
    ) -> PanopticScene:
        stuff = stuff_classes(self.taxonomy, self.config)
        scores = detection_scores(instances, ids, instance, len(stuff))
        if self.config.score == "detection":
            return replace(scene, scores=scores)
        is_thing = ids > len(stuff)
        agreement = mean_agreement(ids, torch.where(is_thing, instance_probability, class_probability))
        return replace(
            scene,
            scores={thing: score * agreement[thing + len(stuff)] for thing, score in scores.items()},
            class_scores={c: agreement[n] for n, c in enumerate(stuff, start=1) if n in agreement},
        )


def parted(
    channels: Int64[Tensor, " n"],
    coords: Int[Tensor, "n 3"],
    grid: VoxelGrid,
    instances: Instances2D,
    num_channels: int,
) -> Int64[Tensor, " n"]:
    """Instance numbers (1 is the first lifted detection) from channels. Where several detections share a channel, a voxel
    belongs to the one whose box is nearest to its pixel: inside of several, to the one with the nearest centre.
    """
    confident = instances.confident
    num_ids = num_channels - 1
    if len(confident) <= num_ids:
        return channels
    points_m = grid.camera_from_index(coords.float())
    pixels, _ = project(points_m, confident.camera.intrinsics.to(points_m))
    result = channels.clone()
    for channel in range(1, num_channels):
        rivals = torch.arange(channel - 1, len(confident), num_ids, device=channels.device)
        rows = (channels == channel).nonzero()[:, 0]
        if len(rivals) > 1 and len(rows):
            boxes = confident.boxes_px[rivals]
            result[rows] = rivals[_nearest_box(pixels[rows], boxes)] + 1
    return result


def _nearest_box(pixels: Tensor, boxes: Tensor) -> Int64[Tensor, " n"]:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    apart = (pixels[:, None] - centre[None]).abs()
    outside = (apart - half).clamp(min=0).square().sum(dim=-1)
    # A pixel is 1 apart from the next: what is inside of two boxes is decided by less than that.
    return (outside + apart.square().sum(dim=-1) * 1e-6).argmin(dim=1)
