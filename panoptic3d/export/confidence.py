"""The confidence of a scene's voxels at the vertices of its meshes."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.scene import PanopticScene


def confidence_at(scene: PanopticScene, points_m: Float[Tensor, "v 3"]) -> Float[Tensor, " v"] | None:
    """The highest among the nearest voxel and its neighbours, because a vertex lies between voxels, and planes were fitted to
    walls. 0 where nothing was predicted; None for a scene without confidence.
    """
    if scene.confidence is None:
        return None
    grid = scene.grid
    nearest = (points_m / grid.voxel_size_m + points_m.new_tensor(grid.camera_index)).round().long()
    most = nearest.new_tensor(grid.shape) - 1
    strides = nearest.new_tensor((grid.shape[1] * grid.shape[2], grid.shape[2], 1))
    volume = scene.confidence.cpu().flatten()
    best = torch.zeros(len(points_m))
    for offset in product((-1, 0, 1), repeat=3):
        cell = (nearest + nearest.new_tensor(offset)).clamp(min=0).minimum(most)
        best = torch.maximum(best, volume[(cell * strides).sum(dim=1)].float())
    return best.clamp(0, 1)
