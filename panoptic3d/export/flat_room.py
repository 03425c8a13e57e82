"""Walls, floor and ceiling that a photo shows, put onto planes: docs/adr/0012-looks.md."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from scipy import ndimage

from panoptic3d.export.mesh import Mesh
from panoptic3d.export.photo_depth import islands, pieces
from panoptic3d.export.rays import ray_slopes
from panoptic3d.export.room_rays import OFF_BEYOND, RoomRays, meet
from panoptic3d.export.segments import SegmentMesh, vertex_normals
from panoptic3d.geometry.room_planes import Plane, PlaneRules, fit_room
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import Segment
from panoptic3d.structures.taxonomy import Taxonomy

_LEANS = 0.002  # of depth: so much before its wall a picture hangs
_SMALL = 0.005  # of the picture: between depth edges no view into another room is smaller
_FLAT, _MOST_OF_IT = 0.06, 0.9  # of depth: a thing of which so much is so near to its wall hangs there
_APART, _SMALL_SHARE = 0.03, 0.25  # of depth; of all pixels of the class
_BEHIND, _FARTHEST = 1.01, 1.1  # factors of the depth of the thing in front, and of the farthest visible depth
_REACH_M = 0.15  # of guessed surface, which then goes onto the plane too
_PATCH, _LIKE, _RING_PX = 0.03, 0.08, 4  # of the picture; of colours from 0 to 1, summed; how far around it is compared
_OFF_PATCH = 0.02  # of depth, from its plane
_SPECK = 0.015  # of the picture: a smaller patch is not taken for a view into another room
_LEAST_HIDDEN = 0.0015  # of the picture: smaller patches of the room behind things float in the air
_STEP_PX = 2  # every second pixel is evidence enough


@dataclass(frozen=True, eq=False)
class FlatRoom:
    """Planes by the name of a class: those of walls are upright and at right angles."""

    planes: Mapping[str, tuple[Plane, ...]]
    rays: RoomRays

    def depth(
        self,
        depth_m: Float32[np.ndarray, "h w"],
        class_masks: Mapping[str, np.ndarray],
        guide: Float32[np.ndarray, "h w 3"],
    ) -> Float32[np.ndarray, "h w"]:
        """What is far from every plane (a window's reveal, another room behind a door) stays as it is, and between the two
        there is no step. `guide` is the photo at the same pixels, 0 to 1.
        """
        result, piece = depth_m.copy(), pieces(depth_m)
        is_small = (np.bincount(piece.ravel()) < _SMALL * depth_m.size)[piece]
        for name, mask in class_masks.items():
            drawn, before = self.rays.drawn(name, mask, depth_m[mask])
            end = self.rays.end_m[mask]  # what is called floor behind a wall is the foot of that wall
            is_error = (drawn > end) & (is_small[mask] | (drawn < end * (1 + OFF_BEYOND)))
            inner = np.where(is_error, end, drawn)
            result[mask] = np.where(_stands_apart(piece[mask], before), depth_m[mask], inner)
            result = self._without_patches(name, result, mask, guide)
        return result

    def _without_patches(
        self, name: str, depth_m: Float32[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], guide: np.ndarray
    ) -> Float32[np.ndarray, "h w"]:
        """A patch of a wall that stands off its plane and has no colour of its own is an error of the depth."""
        plane = np.minimum(self.rays.nearest(name, depth_m), self.rays.end_m)
        is_off = mask & np.isfinite(plane)
        is_off[is_off] = np.abs(plane[is_off] / depth_m[is_off] - 1) > _OFF_PATCH
        is_flat = mask & np.isfinite(plane) & ~is_off
        patch = islands(is_off)
        result = depth_m.copy()
        for number, box in enumerate(ndimage.find_objects(patch), start=1):
            place = tuple(slice(max(0, side.start - _RING_PX), side.stop + _RING_PX) for side in box)
            own = patch[place] == number
            ring = np.zeros(own.shape, np.bool_)
            ndimage.binary_dilation(own, iterations=_RING_PX, output=ring)
            ring &= is_flat[place]
            if own.sum() > _PATCH * mask.size or not ring.any():
                continue
            colors = guide[place]
            if np.abs(np.median(colors[own], axis=0) - np.median(colors[ring], axis=0)).sum() < _LIKE:
                result[place][own] = plane[place][own]
        return result

    def inside(
        self, depth_m: Float32[np.ndarray, "h w"], segment: Int64[np.ndarray, "h w"], is_thing: Bool[np.ndarray, " s"]
    ) -> Float32[np.ndarray, "h w"]:
        """Pull depth from just behind the room's end onto it, and push things that hang flat in front of a wall onto it."""
        result = depth_m.copy()
        for number in np.flatnonzero(is_thing):
            mask = (segment == number) & np.isfinite(depth_m)
            own, end = depth_m[mask], self.rays.end_m[mask]
            off = np.where(np.isfinite(end), 1 - own / np.where(np.isfinite(end), end, 1), 1.0)
            is_flat = len(own) > 0 and (off < _FLAT).mean() >= _MOST_OF_IT
            moves = (off > -OFF_BEYOND) & (off < (_FLAT if is_flat else 0.0))
            result[mask] = np.where(moves, np.where(moves, end, 0) * (1 - _LEANS), own)
        return self._without_specks(result)

    def _without_specks(self, depth_m: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
        """What seems to be far behind the end of the room, and is small, is at that end."""
        end = self.rays.end_m
        speck = islands(np.isfinite(depth_m) & (depth_m > end * _BEHIND))
        size = np.bincount(speck.ravel())
        size[0] = depth_m.size
        return np.where((size < _SPECK * depth_m.size)[speck], end, depth_m).astype(np.float32)

    def behind(
        self, depth_m: Float32[np.ndarray, "h w"], number_of: Mapping[str, int], is_hiding: np.ndarray
    ) -> tuple[Float[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
        """Where the room goes on behind things: depth (infinite where it is not known to) and the number of the class. The
        first plane behind the thing bounds the room; one before it has ended, or is open, or the thing would not be seen.
        """
        first, plane = np.full(depth_m.shape, np.inf), np.full(depth_m.shape, -1)
        for row, depth in enumerate(self.rays.depth_m):
            is_first = (depth > depth_m * _BEHIND) & (depth < first)
            first, plane = np.where(is_first, depth, first), np.where(is_first, row, plane)
        is_near = is_hiding & (first < _FARTHEST * np.nanmax(depth_m))
        number, is_known = np.full(depth_m.shape, -1), np.zeros(depth_m.shape, np.bool_)
        for row, name in enumerate(self.rays.names):
            if name in number_of:
                shown = _without_crumbs(is_near & (plane == row))
                is_known |= shown
                number[shown] = number_of[name]
        return np.where(is_known, first, np.inf), number

    def end_m(self, depth_m: Float32[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """Depth where the room ends; infinite if unknown, or if the photo shows something farther away."""
        end = self.rays.end_m
        return np.where(np.nan_to_num(depth_m, posinf=0) < end * _BEHIND, end, np.inf)

    def straightened(self, part: SegmentMesh, taxonomy: Taxonomy) -> SegmentMesh:
        """A part of stuff, on the planes of its class where it lies near them."""
        segment = part.segment
        planes = () if segment is None or segment.is_thing else self.planes.get(taxonomy[segment.class_id].name, ())
        if not planes or not len(part.mesh.vertices):
            return part
        points = part.mesh.vertices.double()
        gaps = torch.stack([plane.distance_m(points) for plane in planes])
        nearest = gaps.abs().argmin(dim=0)
        gap = gaps.gather(0, nearest[None])[0]
        normal = torch.stack([plane.normal for plane in planes])[nearest]
        moved = points - torch.where(gap.abs() < _REACH_M, gap, 0.0)[:, None] * normal
        mesh = Mesh(moved.float(), part.mesh.faces)
        return replace(part, mesh=mesh, normals=vertex_normals(mesh))


def masks_of_stuff(
    segment: Int64[np.ndarray, "h w"], segments: tuple[Segment, ...], taxonomy: Taxonomy
) -> dict[str, np.ndarray]:
    """Which pixels show wall, floor and ceiling."""

    def mask(name: str) -> np.ndarray:
        own = [n for n, s in enumerate(segments) if not s.is_thing and taxonomy[s.class_id].name == name]
        return np.isin(segment, own)

    return {name: mask(name) for name in ("wall", "floor", "ceiling")}


def fit_flat_room(
    depth_m: Float32[np.ndarray, "h w"], class_masks: Mapping[str, np.ndarray], camera: Camera
) -> FlatRoom:
    points = ray_slopes(camera) * np.where(np.isfinite(depth_m), depth_m, 0.0)[..., None]
    chosen = np.zeros(depth_m.shape, np.bool_)
    chosen[::_STEP_PX, ::_STEP_PX] = True
    chosen &= np.isfinite(depth_m)
    evidence = {name: torch.from_numpy(points[mask & chosen]) for name, mask in class_masks.items()}
    room = fit_room(evidence["floor"], evidence["ceiling"], evidence["wall"], PlaneRules())
    level = {"floor": room.floor, "ceiling": room.ceiling}
    planes: dict[str, tuple[Plane, ...]] = {name: () if plane is None else (plane,) for name, plane in level.items()}
    planes["wall"] = room.walls
    return FlatRoom(planes, meet(planes, room.up, depth_m, class_masks["wall"], camera))


def _without_crumbs(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    patch = islands(mask)
    size = np.bincount(patch.ravel())
    size[0] = 0
    return (size >= _LEAST_HIDDEN * mask.size)[patch]


def _stands_apart(piece: Int64[np.ndarray, " n"], before: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Small pieces between depth edges in front of their plane, such as a headboard that was labelled as wall."""
    size = np.bincount(piece)
    off = np.bincount(piece, before > _APART, len(size))
    return ((off > size / 2) & (size < _SMALL_SHARE * len(piece)))[piece]
