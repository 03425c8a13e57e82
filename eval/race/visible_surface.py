"""The visible surface alone: a network's own depth, classes of pixels and instances, and nothing that no pixel shows."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.errors import InputError
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.point_field import distance_to_points
from panoptic3d.geometry.voxels import nearest_voxels
from panoptic3d.models.clearview.maps import SEMANTICS
from panoptic3d.structures.moving import moved
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, LABEL_BAND_VOX
from panoptic3d.structures.scene import SURFACE_ISO_VOX, PanopticScene


@dataclass(frozen=True)
class VisibleSurfacePredictions(NetworkPredictions):
    @property
    def stamp(self) -> str:
        return f"visible surface: {super().stamp}"

    @torch.inference_mode()
    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        sample, network = data.read(key, has_voxels=False), self.network
        said = network(sample.image[None].to(self.device), (sample.camera,))
        if SEMANTICS not in said.maps:
            raise InputError(f"{self.folder} does not name classes of pixels; give a checkpoint of clearview.")
        size = (sample.camera.height, sample.camera.width)
        depth_m = F.interpolate(said.depth_m[:, None], size=size, mode="bilinear")[0, 0]
        logits = F.interpolate(said.maps[SEMANTICS], size=size, mode="bilinear")[0]
        (scene,) = network.decode(said)
        scene = replace(moved(scene, "cpu"), camera=sample.camera)
        return PredictedVoxels.from_scene(visible_surface(depth_m.cpu(), logits.softmax(dim=0).cpu(), scene))


@dataclass(frozen=True)
class TrueSurfacePredictions(NetworkPredictions):
    """True depth, classes of pixels and instances, and nothing behind: what a perfect look without completion gets."""

    @property
    def stamp(self) -> str:
        return "true visible surface"

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": "true-surface"}

    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        sample = data.read(key)
        assert sample.truth is not None, "read with voxels"
        classes = F.one_hot(sample.semantic_2d.long(), len(sample.taxonomy)).movedim(-1, 0).float()
        scene = PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy)
        return PredictedVoxels.from_scene(visible_surface(sample.depth_m, classes, scene))


def visible_surface(
    depth_m: Float[Tensor, "h w"], probabilities: Float[Tensor, "classes h w"], scene: PanopticScene
) -> PanopticScene:
    """What the points of a depth map leave of a scene. The distance is that to the nearest point, so that a shell is as thick
    as a true one, and a voxel of it has the labels of that point.
    """
    grid, is_known = scene.grid, depth_m > 0
    points = unproject_depth_map(depth_m, scene.camera.intrinsics.to(depth_m))[is_known]
    index = grid.index_from_camera(points)
    is_inside = nearest_voxels(index, grid.shape)[1]
    seen, likely = index[is_inside].numpy(), probabilities[:, is_known][:, is_inside].numpy()
    cells, distance, place = distance_to_points(seen, grid.shape, DISTANCE_TRUNCATION_VOX)
    semantic, instance = _labels(seen, likely, scene)
    is_shell = distance < LABEL_BAND_VOX
    shell, of_shell = cells[is_shell], place[is_shell]

    def volume(values: np.ndarray, at: np.ndarray, fill: float | int) -> Tensor:
        dense = np.full(grid.num_points, fill, values.dtype)
        dense[at] = values
        return torch.from_numpy(dense.reshape(grid.shape))

    return replace(
        scene,
        distance_vox=volume(distance.astype(np.float32), cells, DISTANCE_TRUNCATION_VOX),
        semantic=volume(semantic[of_shell], shell, 0),
        instance=volume(instance[of_shell], shell, 0),
    )


def _labels(points: np.ndarray, likely: np.ndarray, scene: PanopticScene) -> tuple[np.ndarray, np.ndarray]:
    """Class and instance of every point. It is of the instance of the scene's nearest surface voxel; an instance has the
    class that its pixels together think likeliest, and what is of none has the likeliest stuff class of its pixel.
    """
    stuff, things = (np.array(ids, np.uint8) for ids in (scene.taxonomy.stuff_ids, scene.taxonomy.thing_ids))
    semantic = stuff[likely[stuff].argmax(axis=0)]
    surface = torch.nonzero((scene.distance_vox < SURFACE_ISO_VOX) & (scene.semantic > 0)).numpy()
    if not len(surface):
        return semantic, np.zeros(len(points), np.int32)
    nearest = surface[KDTree(surface).query(points)[1]]
    instance = scene.instance.numpy()[tuple(nearest.T)]
    for number in np.unique(instance[instance > 0]):
        own = instance == number
        semantic[own] = things[likely[things][:, own].sum(axis=1).argmax()]
    return semantic, instance
