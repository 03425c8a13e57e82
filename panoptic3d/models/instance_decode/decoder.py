"""Prediction to scenes."""

import torch
from jaxtyping import Int, Int64
from torch import Tensor

from panoptic3d.geometry.pinhole import project
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.instance_decode.labels import Labelled, panoptic_labels, stuff_classes
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import LevelPrediction, Prediction
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


class InstanceDecode:
    """Without weights: a function with its thresholds."""

    def __init__(self, config: InstanceDecodeConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(self, prediction: Prediction) -> tuple[PanopticScene, ...]:
        finest = prediction.levels[-1]
        if finest.distance_vox is None or finest.instance_logits is None or finest.semantic_logits is None:
            raise ValueError("a scene needs the finest level with all its heads")
        return tuple(self._scene(prediction, finest, member) for member in range(len(prediction.cameras)))

    def _scene(self, prediction: Prediction, finest: LevelPrediction, member: int) -> PanopticScene:
        assert finest.distance_vox is not None  # checked by the caller
        assert finest.instance_logits is not None
        assert finest.semantic_logits is not None
        grid, instances = prediction.grids[member], prediction.instances[member]
        rows = finest.voxels.coords[:, 0] == member
        coords = finest.voxels.coords[rows, 1:]
        distance = finest.distance_vox[rows].clamp(0, self.config.truncation_vox)
        channels = finest.instance_logits[rows].argmax(dim=1)
        instance = parted(channels, coords, grid, instances, finest.instance_logits.shape[1])
        semantic = finest.semantic_logits[rows].argmax(dim=1)
        labelled = panoptic_labels(
            coords, grid.shape, distance, instance, semantic, self._num_kept(instances), self.taxonomy, self.config
        )
        return self._dense(prediction, member, coords, distance, labelled, instance)

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
        instance: Int64[Tensor, " n"],
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
        scores = _scores(prediction.instances[member], ids, instance, num_stuff)
        distance_vox, semantic, instance_volume = (volume.view(grid.shape) for volume in volumes)
        return PanopticScene(
            distance_vox=distance_vox,
            semantic=semantic,
            instance=instance_volume,
            camera=prediction.cameras[member],
            grid=grid,
            taxonomy=self.taxonomy,
            scores=scores,
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


def _scores(
    instances: Instances2D, ids: Int64[Tensor, " n"], instance: Int64[Tensor, " n"], num_stuff: int
) -> dict[int, float]:
    """Confidence of the detection behind each thing."""
    confident = instances.confident.scores.tolist()
    is_thing = ids > num_stuff
    pairs = torch.stack((ids[is_thing] - num_stuff, instance[is_thing]), dim=1).unique(dim=0).tolist()
    return {thing: confident[number - 1] for thing, number in pairs if 0 < number <= len(confident)}
