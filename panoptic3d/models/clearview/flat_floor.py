"""Voxels of the floor, moved onto the one plane that fits them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor

from panoptic3d.geometry.floor_plane import floor_plane
from panoptic3d.geometry.room_planes import PlaneRules
from panoptic3d.geometry.voxels import linear_index, nearest_voxels
from panoptic3d.structures.grid import VoxelGrid

_REACH_M = 0.15  # voxels of floor farther from the plane take another class
_STEP_VOX = 0.5  # along the normal, from one side of the field to the other
_EVIDENCE = 20_000  # voxels that the plane is fitted to; the whole field, which locates it better than the shell alone


@dataclass(frozen=True, eq=False)
class Decided:
    """Voxels of one image after all decisions: distance, labels, confidence."""

    coords: Int[Tensor, "n 3"]
    distance_vox: Float[Tensor, " n"]
    semantic: UInt8[Tensor, " n"]
    instance: Int[Tensor, " n"]
    confidence: Float[Tensor, " n"]

    def __getitem__(self, rows: Bool[Tensor, " n"] | Int64[Tensor, " m"]) -> "Decided":
        return Decided(*(value[rows] for value in vars(self).values()))

    def joined(self, other: "Decided") -> "Decided":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Decided(*(torch.cat(pair) for pair in pairs))


def with_flat_floor(
    said: Decided, grid: VoxelGrid, floor_id: int, otherwise: UInt8[Tensor, " n"], truncation_vox: float
) -> Decided:
    """The floor becomes a distance field around its plane, in the columns where its voxels were; voxels of floor elsewhere
    take the class that they are `otherwise`. Where another surface is nearer than the plane, that one stays. Without a plane
    nothing changes.
    """
    is_floor = (said.semantic == floor_id) & (said.instance == 0)
    rows = is_floor.nonzero()[:, 0]
    points = grid.camera_from_index(said.coords[rows].double())
    plane = floor_plane(points[:: len(points) // _EVIDENCE + 1], PlaneRules())
    if plane is None:
        return said
    gap_m = plane.distance_m(points)
    is_near = gap_m.abs() < _REACH_M
    rows, foot = rows[is_near], (points - gap_m[:, None] * plane.normal)[is_near]
    first = _first_of_cells(grid.index_from_camera(foot), grid)
    steps = torch.arange(-truncation_vox, truncation_vox + _STEP_VOX, _STEP_VOX).to(foot)
    across = grid.index_from_camera(foot[first])[:, None] + steps[:, None] * plane.normal
    own = _first_of_cells(across.flatten(0, 1), grid)
    coords, _ = nearest_voxels(across.flatten(0, 1)[own], grid.shape)
    distance = plane.distance_m(grid.camera_from_index(coords.double())).abs() / grid.voxel_size_m
    source = said[rows[first[own // len(steps)]]]
    flat = Decided(
        coords.to(said.coords), distance.to(said.distance_vox), source.semantic, source.instance, source.confidence
    )
    rest = replace(said, semantic=torch.where(is_floor, otherwise, said.semantic))
    stays = torch.ones_like(is_floor).index_fill(0, rows, False)
    return _nearer(rest[stays], flat[distance < truncation_vox], grid)


def _first_of_cells(index: Float[Tensor, "n 3"], grid: VoxelGrid) -> Int64[Tensor, " m"]:
    """The first row of each occupied cell of the grid."""
    nearest, is_inside = nearest_voxels(index, grid.shape)
    rows = is_inside.nonzero()[:, 0]
    cells, number = linear_index(nearest[rows], grid.shape).unique(return_inverse=True)
    return rows.new_full((len(cells),), len(index)).scatter_reduce(0, number, rows, "amin")


def _nearer(one: Decided, other: Decided, grid: VoxelGrid) -> Decided:
    """Join both; where they share a cell, the voxel that is nearer to its surface stays."""
    cells, added = linear_index(one.coords, grid.shape), linear_index(other.coords, grid.shape)
    both = torch.cat((cells, added)).unique(return_inverse=True)[1]
    mine, theirs = both[: len(cells)], both[len(cells) :]
    num = int(both.max()) + 1 if len(both) else 0
    distance = one.distance_vox.new_full((num,), torch.inf)
    of_one = distance.index_copy(0, mine, one.distance_vox)
    of_other = distance.index_copy(0, theirs, other.distance_vox)
    return one[one.distance_vox <= of_other[mine]].joined(other[other.distance_vox < of_one[theirs]])
