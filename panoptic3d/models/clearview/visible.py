"""What the maps say about space around the visible surface: distances to it, and the thing that each point belongs to.

Voxels need not discover this in 3D; they begin from it and correct it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sparse_voxels import SparseVoxels

NUM_SEEN_VOTES = 5
_CELL_M, _WIDE_M = 0.12, 0.36
_AREA_M2 = 0.02  # of surface that votes for a cell: about a palm
_SLANT = 0.15  # below this cosine of the viewing angle a surface is not treated as a plane


@dataclass(frozen=True, eq=False)
class VisibleSurface:
    depth_m: Float[Tensor, "b h w"]
    facing: Float[Tensor, "b h w"]  # distance to a pixel's tangent plane for each metre of depth in front of it

    def distance_m(
        self, z: Float[Tensor, " n"], pixels: Float[Tensor, "n 2"], member: Int64[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Signed, positive behind the surface: to the tangent plane of the nearest pixel."""
        at = nearest_pixel(pixels, member, self.depth_m)
        return (z - self.depth_m.reshape(-1)[at]) * self.facing.reshape(-1)[at]


@dataclass(frozen=True, eq=False)
class CentreVotes:
    """Where each pixel believes the centre of its thing to be."""

    centre_m: Float[Tensor, "b h w 3"]  # camera frame
    log_spread: Float[Tensor, "b h w"]
    area_m2: Float[Tensor, "b h w"]  # of the surface that the pixel shows, times how surely that is a thing's

    def seen_from_m(
        self, points_m: Float[Tensor, "n 3"], pixels: Float[Tensor, "n 2"], member: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        at = nearest_pixel(pixels, member, self.log_spread)
        return self.centre_m.reshape(-1, 3)[at] - points_m

    def seen_from(
        self, points_m: Float[Tensor, "n 3"], pixels: Float[Tensor, "n 2"], member: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n 5"]:
        """The vote of the point's pixel, as the point sees it: direction, distance by a finer ruler, and its spread."""
        offset_m = self.seen_from_m(points_m, pixels, member)
        near = (offset_m.norm(dim=1, keepdim=True) / _CELL_M).clamp(max=2)
        spread = self.log_spread.reshape(-1)[nearest_pixel(pixels, member, self.log_spread)]
        return torch.cat(((offset_m / _WIDE_M).clamp(-2, 2), near, spread[:, None]), dim=1)

    def on_cells(self, cells: SparseVoxels, grids: tuple[VoxelGrid, ...]) -> Float[Tensor, " n"]:
        """How much surface votes for each cell, on a logarithmic scale."""
        size = cells.shape[0] * cells.shape[1] * cells.shape[2]
        area = self.area_m2.new_zeros(cells.batch_size * size)
        for number, grid in enumerate(grids):
            index = grid.coarsened(cells.stride).index_from_camera(self.centre_m[number].reshape(-1, 3))
            cell = (index + 0.5).floor().long()
            is_inside = ((cell >= 0) & (cell < cell.new_tensor(cells.shape))).all(dim=1)
            at = (cell[:, 0] * cells.shape[1] + cell[:, 1]) * cells.shape[2] + cell[:, 2] + number * size
            area.index_add_(0, at[is_inside], self.area_m2[number].reshape(-1)[is_inside])
        return (area.view(cells.batch_size, *cells.shape)[cells.coords.long().unbind(dim=1)] / _AREA_M2).log1p()


def visible_surface(cameras: tuple[Camera, ...], depth_m: Float[Tensor, "b h w"]) -> VisibleSurface:
    facing = torch.stack([_facing(camera, depth) for camera, depth in zip(cameras, depth_m, strict=True)])
    return VisibleSurface(depth_m, facing)


def centre_votes(
    cameras: tuple[Camera, ...],
    depth_m: Float[Tensor, "b h w"],
    offset_m: Float[Tensor, "b 3 h w"],
    log_spread: Float[Tensor, "b h w"],
    thing: Float[Tensor, "b h w"],
) -> CentreVotes:
    points_m = torch.stack(
        [unproject_depth_map(depth, c.intrinsics.to(depth)) for c, depth in zip(cameras, depth_m, strict=True)]
    )
    focal = depth_m.new_tensor([c.fx_px * c.fy_px for c in cameras])[:, None, None]
    centre_m = points_m + offset_m.detach().permute(0, 2, 3, 1)
    return CentreVotes(centre_m, log_spread.detach(), depth_m.square() / focal * thing)


def nearest_pixel(
    pixels: Float[Tensor, "n 2"], member: Int64[Tensor, " n"], like: Float[Tensor, "b h w"]
) -> Int64[Tensor, " n"]:
    """Its place in a map that is laid out in one row."""
    _, height, width = like.shape
    u, v = (pixels + 0.5).floor().long().unbind(dim=1)
    return (member * height + v) * width + u


def _facing(camera: Camera, depth_m: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """|normal . ray| for a ray whose z is 1. At a depth edge the tangent is taken on the side of the pixel."""
    points_m = unproject_depth_map(depth_m, camera.intrinsics.to(depth_m))
    normal = torch.linalg.cross(_tangent(points_m, 0), _tangent(points_m, 1), dim=2)
    normal = normal / normal.norm(dim=2, keepdim=True).clamp(min=1e-12)
    ray = points_m / depth_m[..., None]
    return (normal * ray).sum(dim=2).abs().clamp(min=_SLANT)


def _tangent(points_m: Float[Tensor, "h w 3"], axis: int) -> Float[Tensor, "h w 3"]:
    """The step to a neighbour along an axis: of the two, the one whose depth differs less."""
    step = points_m.diff(dim=axis)
    first, last = step.narrow(axis, 0, 1), step.narrow(axis, step.shape[axis] - 1, 1)
    ahead, behind = torch.cat((step, last), dim=axis), torch.cat((first, step), dim=axis)
    return torch.where(ahead[..., 2:].abs() <= behind[..., 2:].abs(), ahead, behind)
