"""Targets of occupancy planes: which cells along the rays hold a surface, and which cells count (section 3.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.engine.methods.buol.config import PlaneTarget
from panoptic3d.geometry.thickening import thicken
from panoptic3d.models.occupancy_lift.projection import VoxelPixels, plane_of_voxels
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, VoxelTruth

_BEYOND = 10  # planes behind the farthest depth that are evaluated


@dataclass(frozen=True, eq=False)
class PlaneTargets:
    is_occupied: Bool[Tensor, "p h w"]
    is_asked: Bool[Tensor, "p h w"]


@torch.no_grad()
def plane_targets(
    truth: VoxelTruth,
    table: VoxelPixels,
    depth_m: Float[Tensor, "h w"],
    num_planes: int,
    spacing_m: float,
    target: PlaneTarget,
) -> PlaneTargets:
    height, width = depth_m.shape
    (x0, y0, z0), (x1, y1, z1) = table.box
    kept = table.is_kept[x0:x1, y0:y1, z0:z1].to(depth_m.device)
    i, j, k = (kept.nonzero() + torch.tensor((x0, y0, z0), device=depth_m.device)).unbind(1)
    plane = plane_of_voxels(table, num_planes, spacing_m).to(depth_m.device)[k]
    row, column = table.row.to(depth_m.device)[j, k], table.column.to(depth_m.device)[i, k]
    cell = (plane * height + row) * width + column
    near = truth.dense(truth.distance_vox.abs() < DISTANCE_TRUNCATION_VOX, False)[i, j, k].long()
    key = near if target == "any" else 2 * _released_order(truth, i, j, k) + near
    last = torch.zeros(num_planes * height * width, dtype=torch.int64, device=depth_m.device)
    last.scatter_reduce_(0, cell, key, "amax")
    is_occupied = thicken((last % 2).view(num_planes, height, width) > 0, -1, 1)
    reach_m = round(num_planes * spacing_m, 6)
    surface = (depth_m / reach_m * num_planes).long()
    planes = torch.arange(num_planes, device=depth_m.device)[:, None, None]
    is_asked = (planes > surface) & (planes < surface.max() + _BEYOND)
    return PlaneTargets(is_occupied, thicken(is_asked, -2, 2))


def _released_order(
    truth: VoxelTruth, i: Int64[Tensor, " n"], j: Int64[Tensor, " n"], k: Int64[Tensor, " n"]
) -> Int64[Tensor, " n"]:
    """Later in the released volumes, which run against x and y, is greater."""
    nx, ny, nz = truth.grid.shape
    return ((nx - 1 - i) * ny + (ny - 1 - j)) * nz + k
