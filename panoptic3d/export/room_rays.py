"""Where the ray of each pixel meets the planes of a room, and where a wall ends: docs/adr/0012-looks.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from panoptic3d.export.rays import ray_slopes
from panoptic3d.geometry.room_planes import Plane
from panoptic3d.structures.camera import Camera

_ON_PLANE, _OFF_PLANE = 0.08, 0.15  # of depth: so near, a pixel is on the plane, and so far off it stays where it is
_ON_BEYOND, OFF_BEYOND = 0.2, 0.3  # the same behind it: another room is farther, and what is nearer is an error
_BIN_M = 0.1  # along a wall
_LEAST_SHARE = 0.4  # of the wall's pixels in a bin: where fewer lie on the plane the wall has ended, or is open


@dataclass(frozen=True, eq=False)
class RoomRays:
    """Depth at which the ray of each pixel meets each plane of the room."""

    depth_m: Float[np.ndarray, "p h w"]  # infinite where the ray does not meet the plane
    is_there: Bool[np.ndarray, "p h w"]  # False where the plane goes on but the wall does not
    names: tuple[str, ...]  # the class of each plane

    def _first_there(self, rows: np.ndarray, mask: np.ndarray) -> Float[np.ndarray, " n"]:
        depth = np.where(self.is_there[rows][:, mask], self.depth_m[rows][:, mask], np.inf)
        return depth.min(axis=0, initial=np.inf)

    def drawn(
        self, name: str, mask: Bool[np.ndarray, "h w"], depth_m: Float32[np.ndarray, " n"]
    ) -> tuple[Float32[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Pixels of a class go to the first plane of it that bounds the room there, else to the nearest one: fully if they
        are near it, not at all if they are far. And how far each was before it, of its depth.
        """
        rows = np.array([own == name for own in self.names], np.bool_)
        if not rows.any():
            return depth_m, np.zeros(len(depth_m))
        planes = self.depth_m[rows][:, mask]
        off = np.abs(planes - depth_m) / depth_m
        nearest = np.take_along_axis(planes, off.argmin(axis=0)[None], axis=0)[0]
        first = self._first_there(rows, mask)
        best = np.where((first < depth_m) & (depth_m < first * (1 + OFF_BEYOND)), first, nearest)
        with np.errstate(invalid="ignore"):
            gap = np.abs(best - depth_m) / np.minimum(best, depth_m)
        is_beyond = depth_m > best
        on, end = np.where(is_beyond, _ON_BEYOND, _ON_PLANE), np.where(is_beyond, OFF_BEYOND, _OFF_PLANE)
        share = np.clip((end - gap) / (end - on), 0, 1)
        moved = depth_m + np.where(share > 0, share * (np.where(share > 0, best, 0) - depth_m), 0)
        return moved.astype(np.float32), np.where(is_beyond, 0.0, gap)

    def nearest(self, name: str, depth_m: Float32[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """Depth at the plane of a class that is nearest along each ray; infinite without one."""
        rows = np.array([own == name for own in self.names], np.bool_)
        if not rows.any():
            return np.full(depth_m.shape, np.inf)
        planes = self.depth_m[rows]
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(np.abs(planes - depth_m), nan=np.inf)
        return np.take_along_axis(planes, gap.argmin(axis=0)[None], axis=0)[0]

    @cached_property
    def end_m(self) -> Float[np.ndarray, "h w"]:
        """Depth at which the room ends along each ray; infinite without a plane."""
        return np.where(self.is_there, self.depth_m, np.inf).min(axis=0, initial=np.inf)


def meet(
    planes: Mapping[str, tuple[Plane, ...]],
    up: Float[Tensor, "3"],
    depth_m: Float32[np.ndarray, "h w"],
    is_wall: Bool[np.ndarray, "h w"],
    camera: Camera,
) -> RoomRays:
    rays = ray_slopes(camera)
    names = tuple(name for name, own in planes.items() for _ in own)
    every = [plane for own in planes.values() for plane in own]
    depths = np.full((len(every), *depth_m.shape), np.inf)
    for number, plane in enumerate(every):
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = plane.offset_m / (rays @ plane.normal.numpy())
        depths[number] = np.where(depth > 0, depth, np.inf)
    is_there = np.isfinite(depths)
    for number, (name, plane) in enumerate(zip(names, every, strict=True)):
        if name == "wall":
            along = torch.linalg.cross(plane.normal, up.to(plane.normal)).numpy()
            is_there[number] &= _has_wall(depths[number], rays @ along, depth_m, is_wall)
    return RoomRays(depths, is_there, names)


def _has_wall(
    plane_m: Float[np.ndarray, "h w"],
    along: Float[np.ndarray, "h w"],
    depth_m: Float32[np.ndarray, "h w"],
    is_wall: Bool[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """By bins along the wall: enough of the pixels that might show it there lie on it."""
    is_met = np.isfinite(plane_m)
    place = np.floor(np.where(is_met, along * np.where(is_met, plane_m, 0), 0) / _BIN_M)
    place = np.clip(place, -500, 500).astype(np.int64) + 500
    asked = is_wall & is_met & (depth_m > plane_m * (1 - _ON_PLANE))
    near = asked & (depth_m < plane_m * (1 + _ON_PLANE))
    total, count = (np.bincount(place[chosen], minlength=1001) for chosen in (asked, near))
    return is_met & ((total > 0) & (count >= _LEAST_SHARE * total))[place]
