"""Pixels with their features to voxels around the surface, at one scale or at four (Uni-3D, section 5).

The distance code and the seven copies of a pixel are those of `lift.py`; instead of a channel for each instance a voxel takes
hundreds of features, and the queries go along to be compared with voxels.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import CLASS_MAP, FeatureLifted, Panoptic2D, RayEstimate
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.surface_lift.lift import (
    Placed,
    coords_of_cells,
    copied,
    first_of_each,
    frustum_cells,
    grid_of,
    stacked,
)
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.frustum_box import FrustumBox
from panoptic3d.structures.grid import VoxelGrid

# Stride of the grid -> the map that is lifted to it.
COARSE_MAPS = {2: "stride8", 4: "stride16", 8: "stride32"}


class FeatureLift:
    """Without weights: a function with its switches."""

    config_kind: ClassVar = FeatureLiftConfig

    @classmethod
    def built(cls, config: FeatureLiftConfig, method: PipelineConfig) -> "FeatureLift":
        return cls(config)

    def __init__(self, config: FeatureLiftConfig) -> None:
        self.config = config

    def __call__(
        self, rays: RayEstimate, panoptic: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None
    ) -> FeatureLifted:
        config = self.config
        grids = grids or tuple(grid_of(camera, config) for camera in rays.cameras)
        placed = self._placed(rays, grids, 1)
        rows = []
        for member, at in enumerate(placed):
            distance = torch.stack((at.offset_vox.sign(), at.offset_vox.abs()), dim=1)
            maps = (rays.features[member], panoptic.maps[CLASS_MAP][member])
            pixels = [_pixel_rows(map_, at, self._num_copies(1)) for map_ in maps]
            rows.append(torch.cat((distance.to(pixels[0].dtype), *pixels), dim=1))
        kept = [found.embeddings for found in panoptic.instances]
        cells = [frustum_cells(camera, grid, config) for camera, grid in zip(rays.cameras, grids, strict=True)]
        return FeatureLifted(
            grids=grids,
            voxels=stacked([at.coords for at in placed], grids[0].shape),
            features=torch.cat(rows),
            is_in_frustum=torch.stack(cells).to(rays.depth_m.device),
            queries=tuple(queries for queries in kept if queries is not None),
            coarse=tuple(self._coarse(rays, grids, stride, panoptic.maps[name]) for stride, name in COARSE_MAPS.items())
            if config.scales == "multi"
            else (),
        )

    def _coarse(self, rays: RayEstimate, grids: tuple[VoxelGrid, ...], stride: int, maps: Float[Tensor, "b c h w"]):
        """The map's values at every `stride`-th pixel of the depth map, on voxels of that stride."""
        placed = self._placed(rays, grids, stride)
        rows = [_pixel_rows(map_, at, self._num_copies(stride)) for map_, at in zip(maps, placed, strict=True)]
        nx, ny, nz = (n // stride for n in grids[0].shape)
        return torch.cat(rows), stacked([at.coords for at in placed], (nx, ny, nz), stride)

    def _placed(self, rays: RayEstimate, grids: tuple[VoxelGrid, ...], stride: int) -> list[Placed]:
        return [
            place(depth, camera, grid, stride, self.config)
            for depth, camera, grid in zip(rays.depth_m, rays.cameras, grids, strict=True)
        ]

    def _num_copies(self, stride: int) -> int:
        return 2 * _reach(stride, self.config) + 1


def place(
    depth_m: Float[Tensor, "h w"], camera: Camera, grid: VoxelGrid, stride: int, config: FeatureLiftConfig
) -> Placed:
    """The voxels of a stride that every `stride`-th pixel of the depth map reaches; `offset_vox` counts those voxels.

    Pixels nearer or farther than the frustum, or without depth, reach none. In double precision: a coordinate must not
    change its voxel because of the arithmetic.
    """
    depth = depth_m[::stride, ::stride].double()
    is_seen = ((depth >= config.near_m) & (depth <= config.far_m)).flatten()
    pixels = stride * pixel_grid(*depth.shape, dtype=torch.float64, device=depth.device).flatten(0, 1)
    reach = _reach(stride, config)
    copies = torch.arange(-reach, reach + 1, device=depth.device)
    match config.registration:
        case "released":
            index, offset = _released(pixels, depth.flatten(), copies, camera, grid, stride, config)
        case "exact":
            index, offset = _exact(pixels, depth.flatten(), copies, camera, grid, stride)
    shape = tuple(n // stride for n in grid.shape)
    return _winners(index, offset, is_seen, (shape[0], shape[1], shape[2]), config)


def _released(
    pixels: Float64[Tensor, "n 2"],
    depth: Float64[Tensor, " n"],
    copies: Int64[Tensor, " c"],
    camera: Camera,
    grid: VoxelGrid,
    stride: int,
    config: FeatureLiftConfig,
) -> tuple[Float64[Tensor, "n c 3"], Float64[Tensor, "n c"]]:
    """Points of pixels by the photo's camera: its pixel 2c is pixel c of the map. The distance adds the fraction of z where
    it should subtract it (section 11, 4), because published weights were trained with this feature. Each stride has its own
    padding.
    """
    photo = camera.resized(2 * camera.width, 2 * camera.height)
    points_m = unproject(2 * pixels, depth, photo.intrinsics.to(depth))
    nx, ny, nz = (n // stride for n in grid.shape)
    coarse = VoxelGrid((nx, ny, nz), grid.voxel_size_m * stride, grid.camera_index)
    registration = FrustumBox.of(photo, coarse, config.near_m, config.far_m)
    index = copied(registration.index(points_m, coarse.voxel_size_m), copies).floor()
    near, per_m = torch.tensor((config.near_m, 1 / coarse.voxel_size_m), device=depth.device)
    z = depth.float() * per_m - near / coarse.voxel_size_m
    return index, ((z - z.trunc())[:, None] + copies).double()


def _exact(
    pixels: Float64[Tensor, "n 2"],
    depth: Float64[Tensor, " n"],
    copies: Int64[Tensor, " c"],
    camera: Camera,
    grid: VoxelGrid,
    stride: int,
) -> tuple[Float64[Tensor, "n c 3"], Float64[Tensor, "n c"]]:
    """The nearest voxel (halves up), and how far its centre lies behind the surface."""
    points_m = unproject(pixels, depth, camera.intrinsics.to(depth))
    continuous = grid.coarsened(stride).index_from_camera(points_m)
    index = copied((continuous + 0.5).floor(), copies)
    return index, index[..., 2] - continuous[:, 2:]


def _winners(
    index: Float64[Tensor, "n c 3"],
    offset: Float64[Tensor, "n c"],
    is_seen: Bool[Tensor, " n"],
    shape: tuple[int, int, int],
    config: FeatureLiftConfig,
) -> Placed:
    limit = torch.tensor(shape, device=index.device)
    is_inside = ((index >= 0) & (index < limit)).all(dim=-1) & is_seen[:, None]
    points = is_inside.flatten().nonzero()[:, 0]
    if config.winner == "nearest":
        points = points[offset.flatten()[points].abs().argsort(stable=True)]
    cells, winner = first_of_each(linear_index(index.flatten(0, 1)[points].long(), shape))
    point = points[winner]
    return Placed(coords_of_cells(cells, shape), point, offset.flatten()[point])


def _pixel_rows(map_: Float[Tensor, "c h w"], at: Placed, num_copies: int) -> Float[Tensor, "n c"]:
    """Pixels first lie one after the other, so that a row is read in one piece."""
    return map_.flatten(1).t().contiguous()[at.point // num_copies]


def _reach(stride: int, config: FeatureLiftConfig) -> int:
    """As many metres at every stride, halves to even."""
    return round(config.reach_vox / stride)
