"""Planes of pixels to voxels: class probabilities, occupancy, and two numbers that say how far behind the surface."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.geometry.thickening import thicken
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.projection import VoxelPixels, plane_of_voxels, voxel_pixels
from panoptic3d.models.occupancy_lift.stuff_depth import eroded, farthest_stuff_m
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import OccupancyLifted, Panoptic2D, RayEstimate
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid, released_grid
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

SEMANTIC = "semantic_logits"  # the map that is lifted


@dataclass(frozen=True, eq=False)
class PlaneRange:
    """Planes of each pixel, as numbers: that of its surface, the first and the last one that is lifted."""

    surface: Int64[Tensor, "b h w"]
    limit: Int64[Tensor, "b h w"]  # of the stuff behind it
    first: Int64[Tensor, "b h w"]
    last: Int64[Tensor, "b h w"]

    def holds(self, planes: Int64[Tensor, "p 1 1"], member: int) -> Bool[Tensor, "p h w"]:
        return (planes >= self.first[member]) & (planes <= self.last[member])


class OccupancyLift:
    """Without weights: a function with its switches."""

    config_kind: ClassVar = OccupancyLiftConfig

    @classmethod
    def built(cls, config: OccupancyLiftConfig, method: PipelineConfig) -> "OccupancyLift":
        return cls(config, method.classes)

    def __init__(self, config: OccupancyLiftConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(
        self, rays: RayEstimate, panoptic: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None
    ) -> OccupancyLifted:
        config = self.config
        size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
        logits = F.interpolate(panoptic.maps[SEMANTIC], size=size, mode="bilinear", align_corners=True)
        planes = plane_range(rays, logits, config, self.taxonomy)
        grids = grids or tuple(grid_of(camera, config) for camera in rays.cameras)
        tables = [voxel_pixels(camera, grid, config) for camera, grid in zip(rays.cameras, grids, strict=True)]
        coords, rows = [], []
        for member, table in enumerate(tables):
            lifted = lifted_voxels(table, planes, member, len(rays.planes), rays.planes.spacing_m)
            features = lifted_features(lifted, table, planes, logits, rays, member)
            around = padding_voxels(lifted, table, config)
            coords.append(torch.cat((lifted, around)))
            rows.append(F.pad(features, (0, 0, 0, len(around))))
        frustum = torch.stack([table.frustum for table in tables]).to(rays.depth_m.device)
        voxels, features = stacked(coords, rows, grids[0].shape, config)
        return OccupancyLifted(grids, voxels, features, coarse_cells(frustum), frustum=frustum)


def plane_range(
    rays: RayEstimate, semantic_logits: Float[Tensor, "b c h w"], config: OccupancyLiftConfig, taxonomy: Taxonomy
) -> PlaneRange:
    """From a little before the surface to a little behind the stuff."""
    class_map = semantic_logits.detach().argmax(dim=1)
    return planes_up_to_stuff(rays, torch.isin(class_map, class_map.new_tensor(taxonomy.stuff_ids)), config)


def planes_up_to_stuff(rays: RayEstimate, is_stuff: Bool[Tensor, "b h w"], config: OccupancyLiftConfig) -> PlaneRange:
    num_planes, spacing_m = len(rays.planes), rays.planes.spacing_m
    depth_m = rays.depth_m.detach().clamp(max=config.far_m)
    limit_m = farthest_stuff_m(depth_m, eroded(is_stuff, config.erosion_px))
    if config.without_stuff == "farthest":
        has_stuff = limit_m.flatten(1).amax(dim=1) > 0
        limit_m = torch.where(has_stuff[:, None, None], limit_m, depth_m.flatten(1).amax(dim=1)[:, None, None])
    surface, limit = (_plane(d, num_planes, spacing_m) for d in (depth_m, limit_m))
    last = limit + config.planes_behind
    if config.before_limit == "kept":
        last = torch.maximum(last, surface + config.planes_behind)
    return PlaneRange(surface, limit, surface - config.planes_before, last)


def _plane(depth_m: Tensor, num_planes: int, spacing_m: float) -> Int64[Tensor, "..."]:
    """The plane that a depth lies behind: divided by the whole range first, as the weights were trained with."""
    reach_m = round(num_planes * spacing_m, 6)
    return torch.nan_to_num(depth_m / reach_m * num_planes).long()


def lifted_voxels(
    table: VoxelPixels, planes: PlaneRange, member: int, num_planes: int, spacing_m: float
) -> Int64[Tensor, "n 3"]:
    """Kept voxels whose plane is in the range of their pixel, in C order."""
    device = planes.first.device
    (x0, y0, z0), (x1, y1, z1) = table.box
    numbers = torch.arange(num_planes, device=device)[:, None, None]
    is_in_range = planes.holds(numbers, member)
    of_voxel = plane_of_voxels(table, num_planes, spacing_m).tolist()
    column, row = table.column.to(device), table.row.to(device)
    inside = table.is_kept[x0:x1, y0:y1, z0:z1].to(device, copy=True)
    for k in range(z0, z1):
        layer = is_in_range[of_voxel[k]]
        inside[:, :, k - z0] &= layer[row[y0:y1, k]].t()[column[x0:x1, k]]
    return inside.nonzero() + torch.tensor((x0, y0, z0), device=device)


def lifted_features(
    coords: Int64[Tensor, "n 3"],
    table: VoxelPixels,
    planes: PlaneRange,
    semantic_logits: Float[Tensor, "b c h w"],
    rays: RayEstimate,
    member: int,
) -> Float[Tensor, "n f"]:
    """Class probabilities of the pixel, occupancy of its plane, and the plane's place behind the surface: sign and metres."""
    pixel, position = lifted_positions(coords, table, planes, rays, member)
    probability = semantic_logits[member].softmax(dim=0).flatten(1).t()
    return torch.cat((probability[pixel], position), dim=1)


def lifted_positions(
    coords: Int64[Tensor, "n 3"], table: VoxelPixels, planes: PlaneRange, rays: RayEstimate, member: int
) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n 3"]]:
    """The pixel of each voxel; the occupancy of its plane, and the side and the metres between that and the surface."""
    num_planes, spacing_m, device = len(rays.planes), rays.planes.spacing_m, coords.device
    i, j, k = coords.unbind(1)
    pixel = table.row.to(device)[j, k] * rays.depth_m.shape[2] + table.column.to(device)[i, k]
    plane = plane_of_voxels(table, num_planes, spacing_m).to(device)[k]
    occupancy = rays.planes.logits[member].reshape(-1)[plane * rays.depth_m[0].numel() + pixel].sigmoid()
    behind = (plane - planes.surface[member].reshape(-1)[pixel]).to(occupancy.dtype)
    metres = behind.abs() / num_planes * round(num_planes * spacing_m, 6)
    return pixel, torch.stack((occupancy, behind.sign(), metres), dim=1)


def padding_voxels(
    lifted: Int64[Tensor, "n 3"], table: VoxelPixels, config: OccupancyLiftConfig
) -> Int64[Tensor, "m 3"]:
    """Kept voxels around the lifted ones, moved to the corner of their cell of 2^3: a strided convolution reads that one. The
    released order runs against x and y, and so its corners are other ones. Those that meet a lifted voxel are left out.
    """
    (x0, y0, z0), (x1, y1, z1) = table.box
    shape = (x1 - x0, y1 - y0, z1 - z0)
    device = lifted.device
    low = torch.tensor((x0, y0, z0), device=device)
    is_lifted = torch.zeros(shape, dtype=torch.bool, device=device)
    is_lifted[tuple((lifted - low).unbind(1))] = True
    reach = config.margin_vox
    around = thicken(is_lifted, -reach, reach) & table.is_kept[x0:x1, y0:y1, z0:z1].to(device) & ~is_lifted
    if not len(lifted):  # a network needs a voxel
        return torch.tensor([[n // 2 + 1, n // 2 + 1, n // 2 - 2] for n in table.is_kept.shape[:1]], device=device)
    i, j, k = (around.nonzero() + low).unbind(1)
    across = (i | 1, j | 1) if config.frame == "released" else (i & ~1, j & ~1)
    corner = torch.stack((*across, k & ~1), dim=1)
    is_new = torch.zeros([n + 2 for n in shape], dtype=torch.bool, device=device)
    is_new[tuple((corner - low + 1).unbind(1))] = True
    is_new[1:-1, 1:-1, 1:-1] &= ~is_lifted
    return is_new.nonzero() + low - 1


def stacked(
    coords: list[Int64[Tensor, "_ 3"]],
    rows: list[Float[Tensor, "_ f"]],
    shape: tuple[int, int, int],
    config: OccupancyLiftConfig,
) -> tuple[SparseVoxels, Float[Tensor, "n f"]]:
    """Join the voxels of all batch members into one sparse set, in the order of that set."""
    all_coords = torch.cat([F.pad(part, (1, 0), value=member) for member, part in enumerate(coords)])
    features = torch.cat(rows)
    if config.last_index == "dropped":
        limit = torch.tensor([shape[2] - 1], device=all_coords.device)
        is_kept = (all_coords[:, 1] > 0) & (all_coords[:, 2] > 0) & (all_coords[:, 3] < limit)
        all_coords, features = all_coords[is_kept], features[is_kept]
    member, i, j, k = all_coords.unbind(1)
    order = (((member * shape[0] + i) * shape[1] + j) * shape[2] + k).argsort()
    return SparseVoxels(all_coords[order].int(), len(coords), shape), features[order]


def grid_of(camera: Camera, config: OccupancyLiftConfig) -> VoxelGrid:
    if config.grid == "front3d":
        return FRONT3D_GRID
    return released_grid(camera.intrinsics, (camera.width, camera.height), config.near_m, config.far_m)


def coarse_cells(frustum: Bool[Tensor, "b x y z"]) -> Bool[Tensor, "b x4 y4 z4"]:
    pairs = frustum.unflatten(1, (-1, 4)).unflatten(3, (-1, 4)).unflatten(5, (-1, 4))
    return pairs.any(dim=6).any(dim=4).any(dim=2)
