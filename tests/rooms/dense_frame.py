"""The plain twin of `sample_of_view`: the whole frame, every volume in full."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.rooms.scene import View
from panoptic3d.rooms.truth.field import FrustumSlots
from panoptic3d.rooms.truth.pixels import FrustumTruth, PixelTruth
from panoptic3d.structures.frame import DenseFrame
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX


def dense_frame(
    view: View, grid: VoxelGrid, pixels: PixelTruth, truth: FrustumTruth, image: UInt8[np.ndarray, "h w 3"]
) -> DenseFrame:
    slots = truth.slots
    return DenseFrame(
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        camera=view.camera,
        world_from_camera=torch.from_numpy(view.world_from_camera),
        depth_m=torch.from_numpy(pixels.depth_m),
        semantic_2d=torch.from_numpy(pixels.semantic),
        instance_2d=torch.from_numpy(pixels.instance),
        grid=grid,
        frustum_mask=slots.mask,
        distance_vox=_volume(slots, truth.distance_vox, FAR_VOX),
        semantic=_volume(slots, truth.semantic, 0),
        instance=_volume(slots, truth.instance, 0),
        weight=_volume(slots, truth.weight, 1),
    )


def _volume(slots: FrustumSlots, values: np.ndarray, fill: float | int) -> Tensor:
    volume = np.full(slots.mask.shape, fill, values.dtype)
    volume.reshape(-1)[slots.linear] = values
    return torch.from_numpy(volume)
