"""Pixels to voxels: two numbers that say how far from the surface, the features of the pixel, and a channel an instance."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D, RayEstimate, SurfaceLifted
from panoptic3d.models.surface_lift.config import SurfaceLiftConfig
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.surface_lift.instance_channels import instance_channels
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.frustum_box import FrustumBox, released_frustum_cells
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid, released_grid
from panoptic3d.structures.sparse_voxels import SparseVoxels

_COARSEST_STRIDE = 4


@dataclass(frozen=True, eq=False)
class Placed:
    """Which point of one image each voxel keeps. Point `copies * pixel + copy` is a pixel's copy along z."""

    coords: Int64[Tensor, "n 3"]  # distinct, in C order
    point: Int64[Tensor, " n"]
    offset_vox: Float64[Tensor, " n"]  # of the voxel from the surface, along z


class SurfaceLift:
    """Without weights: a function with its switches."""

    config_kind: ClassVar = SurfaceLiftConfig

    @classmethod
    def built(cls, config: SurfaceLiftConfig, method: PipelineConfig) -> "SurfaceLift":
        return cls(config)

    def __init__(self, config: SurfaceLiftConfig) -> None:
        self.config = config

    def __call__(
        self, rays: RayEstimate, panoptic: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None
    ) -> SurfaceLifted:
        config = self.config
        grids = grids or tuple(grid_of(camera, config) for camera in rays.cameras)
        placed = [place(depth, c, g, config) for depth, c, g in zip(rays.depth_m, rays.cameras, grids, strict=True)]
        size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
        rows = []
        for member, at in enumerate(placed):
            masks = instance_channels(panoptic.instances[member], size, config.num_instance_channels, config.overflow)
            pixels = torch.cat((rays.features[member], masks)).flatten(1)[:, at.point // config.num_copies]
            distance = torch.stack((at.offset_vox.sign(), at.offset_vox.abs()), dim=1)
            rows.append(torch.cat((distance.to(pixels.dtype), pixels.t()), dim=1))
        return SurfaceLifted(
            grids=grids,
            voxels=stacked([at.coords for at in placed], grids[0].shape),
            features=torch.cat(rows),
            is_in_frustum=torch.stack(
                [frustum_cells(c, g, config) for c, g in zip(rays.cameras, grids, strict=True)]
            ).to(rays.depth_m.device),
        )


def place(depth_m: Float[Tensor, "h w"], camera: Camera, grid: VoxelGrid, config: SurfaceLiftConfig) -> Placed:
    """The voxels that the pixels of one image reach. Pixels without depth (0 or not finite) reach none.

    In double precision: a coordinate must not change its voxel because of the arithmetic.
    """
    depth = depth_m.double()
    has_depth = (depth != 0) & depth.isfinite()
    if config.depth == "clamped":
        depth = depth.clamp(config.near_m, config.far_m)
    points_m = unproject_depth_map(depth, camera.intrinsics.to(depth.device)).flatten(0, 1)
    copies = torch.arange(config.num_copies, device=depth.device) - config.num_copies // 2
    match config.registration:
        case "released":
            index, offset = _released(points_m, copies, camera, grid, config)
        case "exact":
            index, offset = _exact(points_m, copies, grid)
    limit = torch.tensor(grid.shape, device=depth.device)
    is_inside = ((index >= 0) & (index < limit)).all(dim=-1) & has_depth.flatten()[:, None]
    points = is_inside.flatten().nonzero()[:, 0]
    if config.winner == "nearest":
        points = points[offset.flatten()[points].abs().argsort(stable=True)]
    numbers = linear_index(index.flatten(0, 1)[points].long(), grid.shape)
    cells, winner = first_of_each(numbers)
    point = points[winner]
    return Placed(coords_of_cells(cells, grid.shape), point, offset.flatten()[point])


def _released(
    points_m: Float64[Tensor, "n 3"],
    copies: Int64[Tensor, " c"],
    camera: Camera,
    grid: VoxelGrid,
    config: SurfaceLiftConfig,
) -> tuple[Float64[Tensor, "n c 3"], Float64[Tensor, "n c"]]:
    """Rounded down. The distance adds the part of z below its voxel where it should subtract it (section 2.4)."""
    registration = FrustumBox.of(camera, grid, config.near_m, config.far_m)
    index = copied(registration.index(points_m, grid.voxel_size_m), copies).floor()
    z = points_m[:, 2] / grid.voxel_size_m - registration.corner_vox[2]
    return index, (z - z.trunc())[:, None] + copies


def _exact(
    points_m: Float64[Tensor, "n 3"], copies: Int64[Tensor, " c"], grid: VoxelGrid
) -> tuple[Float64[Tensor, "n c 3"], Float64[Tensor, "n c"]]:
    """The nearest voxel (halves up), and how far its centre lies behind the surface."""
    continuous = grid.index_from_camera(points_m)
    index = copied((continuous + 0.5).floor(), copies)
    return index, index[..., 2] - continuous[:, 2:]


def copied(index: Float64[Tensor, "n 3"], copies: Int64[Tensor, " c"]) -> Float64[Tensor, "n c 3"]:
    step = torch.stack((torch.zeros_like(copies), torch.zeros_like(copies), copies), dim=1)
    return index[:, None] + step


def first_of_each(numbers: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """The distinct numbers, ascending, and where each occurs first."""
    cells, inverse = numbers.unique(return_inverse=True)
    first = torch.full_like(cells, len(numbers))
    first.scatter_reduce_(0, inverse, torch.arange(len(numbers), device=numbers.device), "amin")
    return cells, first


def coords_of_cells(cells: Int64[Tensor, " n"], shape: tuple[int, int, int]) -> Int64[Tensor, "n 3"]:
    return torch.stack((cells // (shape[1] * shape[2]), cells // shape[2] % shape[1], cells % shape[2]), dim=1)


def stacked(coords: list[Int64[Tensor, "_ 3"]], shape: tuple[int, int, int], stride: int = 1) -> SparseVoxels:
    rows = [F.pad(part, (1, 0), value=member) for member, part in enumerate(coords)]
    return SparseVoxels(torch.cat(rows).int(), len(coords), shape, stride)


def grid_of(camera: Camera, config: SurfaceLiftConfig | FeatureLiftConfig) -> VoxelGrid:
    if config.grid == "front3d":
        return FRONT3D_GRID
    return released_grid(camera.intrinsics, (camera.width, camera.height), config.near_m, config.far_m)


def frustum_cells(
    camera: Camera, grid: VoxelGrid, config: SurfaceLiftConfig | FeatureLiftConfig
) -> Bool[Tensor, "x4 y4 z4"]:
    """Cells of stride 4 that the camera of the depth map sees, on the CPU."""
    kept = _released_cells if config.frustum == "released" else _exact_cells
    return kept(camera, grid, config.near_m, config.far_m)


_released_cells = lru_cache(maxsize=16)(released_frustum_cells)


@lru_cache(maxsize=16)
def _exact_cells(camera: Camera, grid: VoxelGrid, near_m: float, far_m: float) -> Bool[Tensor, "x4 y4 z4"]:
    size = (camera.width, camera.height)
    seen = frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index, near_m, far_m)
    for axis in (0, 2, 4):
        seen = seen.unflatten(axis, (-1, _COARSEST_STRIDE))
    return seen.any(dim=5).any(dim=3).any(dim=1)
