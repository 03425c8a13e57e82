"""Training targets of clearview, from the sparse ground truth of one sample."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.geometry.pinhole import project, unproject_depth_map
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.sample import VoxelTruth
from panoptic3d.structures.taxonomy import Taxonomy

BAND_VOX = 2.0  # what the network refines: the scored shell and a voxel on both sides
_MIN_VOXELS = 20  # a thing with fewer voxels is no target
_MIN_CEILING = 50  # a ceiling with fewer pixels gives no target height


@dataclass(frozen=True, eq=False)
class ThingTruth:
    """The things of a sample that are large enough, numbered from 1 in ascending order of their ids."""

    ids: Int64[Tensor, " k"]
    class_ids: Int64[Tensor, " k"]
    centre_vox: Float[Tensor, "k 3"]  # the mean of the labelled voxels

    def number(self, instance: Tensor) -> Int64[Tensor, " n"]:
        """Number of each instance id; 0 for stuff and for things that are too small."""
        if len(self.ids) == 0:
            return torch.zeros_like(instance, dtype=torch.int64)
        place = torch.searchsorted(self.ids, instance.long()).clamp(max=len(self.ids) - 1)
        return torch.where((self.ids[place] == instance) & (instance > 0), place + 1, 0)


def thing_truth(truth: VoxelTruth, taxonomy: Taxonomy) -> ThingTruth:
    is_labelled = (truth.instance > 0) & (truth.semantic > 0)
    instance, semantic = truth.instance[is_labelled].long(), truth.semantic[is_labelled].long()
    ids, place, count = instance.unique(return_inverse=True, return_counts=True)
    votes = torch.bincount(place * len(taxonomy) + semantic, minlength=len(ids) * len(taxonomy))
    class_ids = votes.view(-1, len(taxonomy)).argmax(dim=1)
    centre = torch.zeros(len(ids), 3, device=ids.device).index_add_(0, place, truth.coords[is_labelled].float())
    is_thing = torch.tensor([c.kind == "thing" for c in taxonomy.classes], device=ids.device)
    kept = (count >= _MIN_VOXELS) & is_thing[class_ids]
    return ThingTruth(ids[kept], class_ids[kept], (centre / count[:, None])[kept])


def band_cells(truth: VoxelTruth, stride: int) -> Bool[Tensor, "x y z"]:
    """Cells that hold a voxel of the band."""
    nx, ny, nz = (n // stride for n in truth.grid.shape)
    coords = truth.coords[truth.distance_vox.abs() < BAND_VOX].long() >> (stride.bit_length() - 1)  # a power of two
    cells = torch.zeros(nx * ny * nz, dtype=torch.bool, device=coords.device)
    cells[linear_index(coords, (nx, ny, nz))] = True
    return cells.view(nx, ny, nz)


def heat_of(cells: Float[Tensor, "n 3"], centre_cells: Float[Tensor, "k 3"], width: float = 1.0) -> Float[Tensor, " n"]:
    """1 at the cell nearest to a centre, a Gaussian around it."""
    if len(centre_cells) == 0 or len(cells) == 0:
        return cells.new_zeros(len(cells))
    squared = torch.cdist(cells, centre_cells).square()
    heat = (-squared / (2 * width**2)).exp().amax(dim=1)
    heat[squared.argmin(dim=0)] = 1.0
    return heat


def spread_groups(coords: Tensor, group: Int64[Tensor, " n"], cell: int = 4) -> Int64[Tensor, " n"]:
    """Voxels without a group (0) get a group of their cell, so that errors around a segment count for that segment."""
    corner = coords.long() // cell
    size = corner.amax(dim=0) + 1 if len(corner) else corner.new_ones(3)
    cells = (corner[:, 0] * size[1] + corner[:, 1]) * size[2] + corner[:, 2]
    largest = group.new_zeros(int(size.prod())).scatter_reduce_(0, cells, group, "amax")
    return torch.where(group > 0, group, largest[cells])


def layout_depth(truth: VoxelTruth, taxonomy: Taxonomy, camera: Camera) -> Float[Tensor, "h w"]:
    """Depth of the farthest stuff along the ray of each pixel, from the labelled voxels; 0 without stuff."""
    is_stuff = torch.tensor([c.kind == "stuff" for c in taxonomy.classes], device=truth.semantic.device)
    chosen = is_stuff[truth.semantic.long()] & (truth.distance_vox.abs() < 0.6)
    points_m = truth.grid.camera_from_index(truth.coords[chosen].float())
    pixels, depth_m = project(points_m, camera.intrinsics.to(points_m))
    u, v = (pixels + 0.5).floor().long().unbind(dim=1)
    is_inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    layout = points_m.new_zeros(camera.height * camera.width)
    layout.scatter_reduce_(0, (v * camera.width + u)[is_inside], depth_m[is_inside], "amax")
    return layout.view(camera.height, camera.width)


def vote_truth(
    truth: VoxelTruth,
    things: ThingTruth,
    depth_m: Float[Tensor, "h w"],
    instance: Int64[Tensor, "h w"],
    camera: Camera,
) -> tuple[Float[Tensor, "3 h w"], Int64[Tensor, "h w"]]:
    """Offset from the surface point of each pixel to the centre of its thing, and the thing's number; 0 without a thing."""
    number = torch.where(depth_m > 0, things.number(instance), 0)
    if len(things.ids) == 0:
        return depth_m.new_zeros(3, *depth_m.shape), number
    centre_m = truth.grid.camera_from_index(things.centre_vox)
    points_m = unproject_depth_map(depth_m, camera.intrinsics.to(depth_m))
    offset_m = centre_m[(number - 1).clamp(min=0)] - points_m
    return torch.where(number[..., None] > 0, offset_m, 0.0).permute(2, 0, 1), number


@dataclass(frozen=True, eq=False)
class StanceTruth:
    """How the camera of one sample stands."""

    down: Float[Tensor, "3"]
    floor_m: Float[Tensor, ""]
    ceilings_m: Float[Tensor, " n"]  # heights above the camera of pixels that show the ceiling


def stance_truth(
    world_from_camera: Float[Tensor, "4 4"],
    depth_m: Float[Tensor, "h w"],
    semantic: Int64[Tensor, "h w"],
    camera: Camera,
    ceiling_id: int | None,
) -> StanceTruth | None:
    """None where the data set tells no pose."""
    if not bool(torch.isfinite(world_from_camera).all()):
        return None
    down = -world_from_camera[2, :3].to(depth_m)
    shows_ceiling = (
        (depth_m > 0) & (semantic == ceiling_id) if ceiling_id is not None else torch.zeros_like(depth_m) > 0
    )
    points_m = unproject_depth_map(depth_m, camera.intrinsics.to(depth_m))[shows_ceiling]
    above_m = -(points_m @ down)
    return StanceTruth(
        down, world_from_camera[2, 3].to(depth_m), above_m if len(above_m) >= _MIN_CEILING else above_m[:0]
    )


def plane_truth(
    truth: VoxelTruth, camera: Camera, num_planes: int, spacing_m: float, every: int = 1
) -> tuple[Bool[Tensor, "planes h w"], Bool[Tensor, "planes h w"]]:
    """Whether each plane of each ray passes by a surface, and whether that is known (in the frustum); for some pixels."""
    cells, is_inside = _cells_of_planes(truth, camera, num_planes, spacing_m, every)
    is_near = truth.dense(truth.distance_vox.abs() < spacing_m / truth.grid.voxel_size_m / 2, False).view(-1)
    is_known = is_inside & truth.frustum_mask.view(-1)[cells]
    return is_near[cells] & is_known, is_known


def _cells_of_planes(
    truth: VoxelTruth, camera: Camera, num_planes: int, spacing_m: float, every: int
) -> tuple[Int64[Tensor, "planes h w"], Bool[Tensor, "planes h w"]]:
    """The voxel nearest to each plane of each ray, and whether it lies in the grid. The axes of grid and camera agree, so a
    voxel's i depends on plane and column alone, its j on plane and row, its k on the plane."""
    device = truth.linear_index.device
    depths = torch.arange(num_planes, device=device) * spacing_m
    across = (torch.arange(camera.width, device=device)[::every] - camera.cx_px) / camera.fx_px
    down = (torch.arange(camera.height, device=device)[::every] - camera.cy_px) / camera.fy_px
    positions_m = (depths[:, None, None] * across, depths[:, None, None] * down[:, None], depths[:, None, None])
    grid, steps = truth.grid, (truth.grid.shape[1] * truth.grid.shape[2], truth.grid.shape[2], 1)
    cells: Tensor = torch.zeros(1, dtype=torch.int64, device=device)
    is_inside: Tensor = torch.ones(1, dtype=torch.bool, device=device)
    for position_m, origin, length, step in zip(positions_m, grid.camera_index, grid.shape, steps, strict=True):
        nearest = (position_m / grid.voxel_size_m + origin + 0.5).floor().long()
        is_inside = is_inside & (nearest >= 0) & (nearest < length)
        cells = cells + nearest.clamp(0, length - 1) * step
    return cells, is_inside
