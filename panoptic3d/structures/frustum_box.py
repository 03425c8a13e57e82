"""The box around a camera's frustum, by which the published methods place voxels, and the frustum mask that they ship."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid

_MASK_TOLERANCE_VOX = 1e-4  # the shipped mask holds voxels that lie on its planes


@dataclass(frozen=True)
class FrustumBox:
    """Bounding box of a frustum in the middle of the grid. `origin_vox` is the index of the camera centre.

    PanoRecon puts its corner at a whole voxel (sections 2.3 and 2.4 of its specification); BUOL's lifting does not.
    """

    corner_vox: tuple[float, float, float]  # of the frustum's box, from the camera centre
    padding_vox: tuple[float, float, float]

    @classmethod
    def of(
        cls, camera: Camera, grid: VoxelGrid, near_m: float, far_m: float, is_padding_whole: bool = True
    ) -> "FrustumBox":
        """From the camera of the depth map. The frustum runs from pixel 0 to pixel `width`, not between their borders."""
        spans = [
            _across(camera.fx_px, camera.cx_px, camera.width, far_m),
            _across(camera.fy_px, camera.cy_px, camera.height, far_m),
            (near_m, far_m),
        ]
        low = [a / grid.voxel_size_m for a, _ in spans]
        high = [b / grid.voxel_size_m for _, b in spans]
        padding = [(n - math.ceil(b - a)) / 2 for n, a, b in zip(grid.shape, low, high, strict=True)]
        if is_padding_whole:
            padding = [float(math.floor(vox)) for vox in padding]
        return cls((low[0], low[1], low[2]), (padding[0], padding[1], padding[2]))

    @property
    def origin_vox(self) -> tuple[float, float, float]:
        x, y, z = (pad - corner for pad, corner in zip(self.padding_vox, self.corner_vox, strict=True))
        return x, y, z

    def index(self, points_m: Float64[Tensor, "*n 3"], voxel_size_m: float) -> Float64[Tensor, "*n 3"]:
        """To be rounded down."""
        return points_m / voxel_size_m + points_m.new_tensor(self.origin_vox)


def _across(focal_px: float, centre_px: float, size_px: int, far_m: float) -> tuple[float, float]:
    return -centre_px / focal_px * far_m, (size_px - centre_px) / focal_px * far_m


def released_frustum_cells(
    camera: Camera, grid: VoxelGrid, near_m: float, far_m: float, device: torch.device | str = "cpu"
) -> Bool[Tensor, "x4 y4 z4"]:
    """Cells of stride 4 in the frustum mask that the releases ship, pooled as PanoRecon pools it (kernel 2, stride 4)."""
    apex = _apex(camera, grid, near_m, far_m)
    inside = _in_cone(
        [_pooled_axis(n, c, device) for n, c in zip(grid.shape, apex, strict=True)], camera, grid, near_m, far_m
    )
    pairs = inside.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).unflatten(4, (-1, 2))
    return pairs.any(dim=5).any(dim=3).any(dim=1)


def released_frustum_mask(
    camera: Camera, grid: VoxelGrid, near_m: float, far_m: float, device: torch.device | str = "cpu"
) -> Bool[Tensor, "x y z"]:
    """The mask that the releases ship, camera aligned: mirrored like the volumes, which PanoRecon does not do with it."""
    apex = _apex(camera, grid, near_m, far_m)
    axes = [torch.arange(n, dtype=torch.float64, device=device) - c for n, c in zip(grid.shape, apex, strict=True)]
    return _in_cone(axes, camera, grid, near_m, far_m).flip(0, 1)


def _apex(camera: Camera, grid: VoxelGrid, near_m: float, far_m: float) -> tuple[float, float, float]:
    """The shipped mask turns out to be a cone: its apex lies one voxel in x and z from the box's origin, its planes half an
    image from the axis, whatever the principal point. Every voxel of the shipped file is met (a test says so).
    """
    x, y, z = FrustumBox.of(camera, grid, near_m, far_m).origin_vox
    return x + 1, y, z + 1


def _in_cone(
    axes: list[Float64[Tensor, " _"]], camera: Camera, grid: VoxelGrid, near_m: float, far_m: float
) -> Bool[Tensor, "x y z"]:
    slopes = (camera.width / 2 / camera.fx_px, camera.height / 2 / camera.fy_px)
    depth = axes[2]
    is_deep = (depth >= near_m / grid.voxel_size_m - 1e-6) & (depth <= far_m / grid.voxel_size_m + 1e-6)
    in_x, in_y = (
        axis.abs()[:, None] <= slope * depth[None] + _MASK_TOLERANCE_VOX
        for axis, slope in zip(axes[:2], slopes, strict=True)
    )
    return in_x[:, None, :] & (in_y & is_deep)[None]


def _pooled_axis(size: int, apex: float, device: torch.device | str) -> Float64[Tensor, " n"]:
    """The two indices of each cell that the pooling looks at, from the apex."""
    cells = torch.arange(0, size, 4, dtype=torch.float64, device=device)
    return torch.stack((cells, cells + 1), dim=1).flatten() - apex
