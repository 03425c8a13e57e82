"""A sample of a generated view, straight from the voxels of its frustum: the large volumes are never made."""

import numpy as np
import torch
from jaxtyping import UInt8

from panoptic3d.data.coarse import coarse_occupancy
from panoptic3d.data.truth import build_truth
from panoptic3d.data.volumes import Shape, Sparse
from panoptic3d.rooms.scene import View
from panoptic3d.rooms.truth.pixels import FrustumTruth, PixelTruth
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample, VoxelTruth


def sample_of_view(
    key: str, view: View, grid: VoxelGrid, pixels: PixelTruth, truth: FrustumTruth, image: UInt8[np.ndarray, "h w 3"]
) -> Sample:
    """Equal to `sample_from_frame` of the view's dense frame."""
    scene, _, frame = key.partition("/")
    return Sample(
        scene=scene,
        frame=frame,
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        camera=view.camera,
        depth_m=torch.from_numpy(pixels.depth_m),
        semantic_2d=torch.from_numpy(pixels.semantic),
        instance_2d=torch.from_numpy(pixels.instance),
        truth=_voxel_truth(grid, truth),
        world_from_camera=torch.from_numpy(view.world_from_camera),
    )


def _voxel_truth(grid: VoxelGrid, truth: FrustumTruth) -> VoxelTruth:
    listed = np.flatnonzero(truth.distance_vox != FAR_VOX)  # labels lie among them
    index, distance = truth.slots.linear[listed], truth.distance_vox[listed]
    return build_truth(
        grid=grid,
        index=index,
        distance_vox=distance,
        semantic=truth.semantic[listed],
        instance=truth.instance[listed],
        weight=_weight_box(truth),
        frustum_mask=truth.slots.mask,
        coarse=coarse_occupancy(Sparse(index, distance), grid.shape),
        fill_distance_vox=FAR_VOX,
    )


def _weight_box(truth: FrustumTruth) -> tuple[np.ndarray, Shape]:
    """The smallest box of the weights that are not 1, and where it starts."""
    used = np.flatnonzero(truth.weight != 1)
    if len(used) == 0:
        return np.empty((0, 0, 0), np.uint8), (0, 0, 0)
    columns = [truth.slots.coords[:, axis][used] for axis in range(3)]
    start = [int(column.min()) for column in columns]
    box = np.ones([int(column.max()) + 1 - low for column, low in zip(columns, start, strict=True)], np.uint8)
    box[tuple(column - low for column, low in zip(columns, start, strict=True))] = truth.weight[used]
    return box, (start[0], start[1], start[2])
