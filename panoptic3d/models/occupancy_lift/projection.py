"""Which pixel and which plane each voxel falls into. Camera and grid have the same axes, so three small tables say it:
columns by (i, k), rows by (j, k), depth by k.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.geometry.frustum import bounding_box
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.frustum_box import FrustumBox, released_frustum_mask
from panoptic3d.structures.grid import VoxelGrid

_READ = {"registration", "pixel", "frustum", "near_m", "far_m"}  # what the tables depend on
Box = tuple[tuple[int, int, int], tuple[int, int, int]]  # half open


@dataclass(frozen=True, eq=False)
class VoxelPixels:
    """Pixel of each voxel for one camera. Pixels outside of the image are clamped; `is_kept` is False for them."""

    column: Int64[Tensor, "x z"]
    row: Int64[Tensor, "y z"]
    depth_m: Float[Tensor, " z"]
    is_kept: Bool[Tensor, "x y z"]  # in the image, between the ends of the frustum, and in its mask
    frustum: Bool[Tensor, "x y z"]  # the mask alone
    box: Box  # around the kept voxels


def voxel_pixels(camera: Camera, grid: VoxelGrid, config: OccupancyLiftConfig) -> VoxelPixels:
    """On the CPU; the last cameras are remembered."""
    return _voxel_pixels(camera, grid, config.model_dump_json(include=_READ))


@lru_cache(maxsize=4)  # 34 MB each
def _voxel_pixels(camera: Camera, grid: VoxelGrid, config_json: str) -> VoxelPixels:
    config = OccupancyLiftConfig.model_validate_json(config_json)
    u, v, z = _released(camera, grid, config) if config.registration == "released" else _exact(camera, grid)
    shift = 0.5 if config.pixel == "nearest" else 0.0
    column, row = (u + shift).floor(), (v + shift).floor()
    is_deep = (z >= config.near_m) & (z <= config.far_m)
    in_columns = (column >= 0) & (column < camera.width) & is_deep
    in_rows = (row >= 0) & (row < camera.height)
    is_kept = in_columns[:, None, :] & in_rows[None]
    frustum = is_kept
    if config.frustum == "released":
        frustum = released_frustum_mask(camera, grid, config.near_m, config.far_m)
        is_kept = is_kept & frustum
    return VoxelPixels(
        column=column.nan_to_num(0).clamp(0, camera.width - 1).long(),
        row=row.nan_to_num(0).clamp(0, camera.height - 1).long(),
        depth_m=z,
        is_kept=is_kept,
        frustum=frustum,
        box=bounding_box(is_kept),
    )


def plane_of_voxels(table: VoxelPixels, num_planes: int, spacing_m: float) -> Int64[Tensor, " z"]:
    """The plane behind which the voxels of each depth lie."""
    reach_m = round(num_planes * spacing_m, 6)
    return (table.depth_m * num_planes / reach_m).long().clamp(0, num_planes - 1)


Tables = tuple[Float[Tensor, "x z"], Float[Tensor, "y z"], Float[Tensor, " z"]]


def _exact(camera: Camera, grid: VoxelGrid) -> Tables:
    x, y, z = (
        (torch.arange(n, dtype=torch.float64) - origin) * grid.voxel_size_m
        for n, origin in zip(grid.shape, grid.camera_index, strict=True)
    )
    u = x[:, None] / z * camera.fx_px + camera.cx_px
    v = y[:, None] / z * camera.fy_px + camera.cy_px
    return u, v, z


def _released(camera: Camera, grid: VoxelGrid, config: OccupancyLiftConfig) -> Tables:
    """Section 2.2 in the single precision and the order of its products: a pixel must not change by rounding."""
    box = FrustumBox.of(camera, grid, config.near_m, config.far_m, is_padding_whole=False)
    corner, padding = box.corner_vox, box.padding_vox
    size = torch.tensor(grid.voxel_size_m, dtype=torch.float32)
    shifts = (padding[0], padding[1], padding[2] + 1)
    x, y, z = (
        (torch.arange(n, dtype=torch.float32) - shift) * size + torch.tensor(low * grid.voxel_size_m).float()
        for n, shift, low in zip(grid.shape, shifts, corner, strict=True)
    )
    fx, fy, cx, cy = torch.tensor([camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px])
    u = (fx * x[:, None] + cx * z) / z
    v = (fy * y[:, None] + cy * z) / z
    return u, v, z
