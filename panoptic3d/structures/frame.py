"""One frame as dense arrays: made by generators of rooms, and written by writers of data sets."""

from dataclasses import dataclass

from jaxtyping import Bool, Float32, Float64, Int32, UInt8
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid


@dataclass(frozen=True, eq=False)
class DenseFrame:
    """Camera aligned throughout: volumes are not in the order in which the releases store them."""

    image: UInt8[Tensor, "3 h w"]
    camera: Camera
    world_from_camera: Float64[Tensor, "4 4"]
    depth_m: Float32[Tensor, "h w"]
    semantic_2d: UInt8[Tensor, "h w"]
    instance_2d: Int32[Tensor, "h w"]  # stuff has ids too
    grid: VoxelGrid
    frustum_mask: Bool[Tensor, "x y z"]
    distance_vox: Float32[Tensor, "x y z"]  # unsigned; 12 where farther than 8 and outside of the frustum
    semantic: UInt8[Tensor, "x y z"]  # where the distance is below 1
    instance: Int32[Tensor, "x y z"]  # 0 for stuff
    weight: UInt8[Tensor, "x y z"]
