"""One frame of a data set: the photo, its camera, what each pixel shows, and what each voxel holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float32, Float64, Int32, UInt8
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import DepthKind
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

DISTANCE_TRUNCATION_VOX = 3.0  # a distance field of a prediction, and the geometry target, end here
LABEL_BAND_VOX = 1.0  # 3D-Front labels a voxel if and only if its distance is below this
FAR_VOX = 12.0  # what the releases store where nothing is near


@dataclass(frozen=True, eq=False)
class VoxelTruth:
    """Ground truth on a voxel grid, camera aligned and sparse: far voxels are not listed.

    A voxel is listed if its stored distance is not `fill_distance_vox` or if it carries a label. Listed voxels are in
    C order of (i, j, k). The loss weight of any voxel is `weight` inside of the box that starts at `weight_start`, and 1
    outside of it.
    """

    grid: VoxelGrid
    linear_index: Int32[Tensor, " n"]
    distance_vox: Float32[Tensor, " n"]  # unsigned on 3D-Front, signed on Matterport3D
    semantic: UInt8[Tensor, " n"]  # 0 where the release has no label
    instance: Int32[Tensor, " n"]  # 0 for stuff on 3D-Front
    weight: UInt8[Tensor, "bx by bz"]
    weight_start: tuple[int, int, int]
    frustum_mask: Bool[Tensor, "x y z"]  # camera aligned
    # Occupied cells of the coarser levels (stride 2 and 4), which need the field as released: data/targets.py.
    coarse_occupancy: Mapping[int, Bool[Tensor, "cx cy cz"]] = field(default_factory=dict)
    fill_distance_vox: float = FAR_VOX

    @cached_property
    def coords(self) -> Int32[Tensor, "n 3"]:
        """Grid index (i, j, k) of every listed voxel."""
        _, ny, nz = self.grid.shape
        column = self.linear_index // nz  # divisions are the slow part
        i = column // ny
        return torch.stack((i, column - i * ny, self.linear_index - column * nz), dim=1)

    def dense(self, values: Tensor, fill: float | int) -> Tensor:
        """A per-voxel value of the listed voxels as a volume of the grid's shape."""
        volume = values.new_full((self.grid.num_points,), fill)
        return volume.index_copy_(0, self.linear_index.long(), values).view(self.grid.shape)

    def dense_distance_vox(self) -> Float32[Tensor, "x y z"]:
        """As released, up to `FAR_VOX`; clip it to taste."""
        return self.dense(self.distance_vox, self.fill_distance_vox)

    def dense_semantic(self) -> UInt8[Tensor, "x y z"]:
        return self.dense(self.semantic, 0)

    def dense_instance(self) -> Int32[Tensor, "x y z"]:
        return self.dense(self.instance, 0)

    def dense_weight(self) -> UInt8[Tensor, "x y z"]:
        volume = self.weight.new_ones(self.grid.shape)
        box = tuple(slice(a, a + n) for a, n in zip(self.weight_start, self.weight.shape, strict=True))
        volume[box] = self.weight
        return volume


@dataclass(frozen=True, eq=False)
class Sample:
    """Everything that is known of one frame. Images, depth and labels are aligned with each other and never mirrored."""

    scene: str
    frame: str
    image: UInt8[Tensor, "3 h w"]  # sRGB
    camera: Camera
    depth_m: Float32[Tensor, "h w"]  # along the optical axis; 0 = not measured
    semantic_2d: UInt8[Tensor, "h w"]
    instance_2d: Int32[Tensor, "h w"]  # scene-wide ids; stuff has ids too, one per wall
    truth: VoxelTruth | None  # None when only the 2D files were asked for
    world_from_camera: Float64[Tensor, "4 4"] | None = None  # world z up, metres
    room_2d: Int32[Tensor, "h w"] | None = None  # Matterport3D: ids of what lies in other rooms
    taxonomy: Taxonomy = FRONT3D_TAXONOMY
    depth_kind: DepthKind = "metric"  # what `depth_m` is: anything else is a cue, and teaches only what it can tell

    @property
    def key(self) -> str:
        return f"{self.scene}/{self.frame}"
