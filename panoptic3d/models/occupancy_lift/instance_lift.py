"""BUOL's voxels with PanoRecon's channels: all from a pixel's surface to the stuff behind it, with features and instances."""

from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from panoptic3d.models.occupancy_lift.instance_config import InstanceOccupancyConfig
from panoptic3d.models.occupancy_lift.lift import (
    coarse_cells,
    grid_of,
    lifted_positions,
    lifted_voxels,
    planes_up_to_stuff,
)
from panoptic3d.models.occupancy_lift.projection import voxel_pixels
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D, RayEstimate, SurfaceLifted
from panoptic3d.models.surface_lift.instance_channels import instance_channels
from panoptic3d.models.surface_lift.lift import stacked
from panoptic3d.structures.grid import VoxelGrid


class InstanceOccupancyLift:
    """Lift without weights. Detectors have no stuff, so pixels without an instance count as stuff."""

    config_kind: ClassVar = InstanceOccupancyConfig

    @classmethod
    def built(cls, config: InstanceOccupancyConfig, method: PipelineConfig) -> "InstanceOccupancyLift":
        return cls(config)

    def __init__(self, config: InstanceOccupancyConfig) -> None:
        self.config = config

    def __call__(
        self, rays: RayEstimate, panoptic: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None
    ) -> SurfaceLifted:
        config = self.config
        grids = grids or tuple(grid_of(camera, config) for camera in rays.cameras)
        tables = [voxel_pixels(camera, grid, config) for camera, grid in zip(rays.cameras, grids, strict=True)]
        size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
        channels = [
            instance_channels(found, size, config.num_instance_channels, config.overflow)
            for found in panoptic.instances
        ]
        planes = planes_up_to_stuff(rays, torch.stack([_is_stuff(masks) for masks in channels]), config)
        coords, rows = [], []
        for member, (table, masks) in enumerate(zip(tables, channels, strict=True)):
            lifted = lifted_voxels(table, planes, member, len(rays.planes), rays.planes.spacing_m)
            pixel, position = lifted_positions(lifted, table, planes, rays, member)
            features, instances = rays.features[member].flatten(1).t()[pixel], masks.flatten(1).t()[pixel]
            occupancy, distance = position[:, :1], position[:, 1:]
            coords.append(lifted)
            rows.append(torch.cat((distance, features, occupancy, instances.to(features.dtype)), dim=1))
        frustum = torch.stack([table.frustum for table in tables]).to(rays.depth_m.device)
        return SurfaceLifted(grids, stacked(coords, grids[0].shape), torch.cat(rows), coarse_cells(frustum))


def _is_stuff(channels: Tensor) -> Bool[Tensor, "h w"]:
    return channels[1:].amax(dim=0) <= 0.5
