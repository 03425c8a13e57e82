"""A room as one bag of triangles in the world frame: what rays and distances are computed on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from panoptic3d.rooms.scene import Material, Part, RoomScene

_SMOOTH_COSINE = 0.77  # corners of triangles that meet at less than 40 degrees share a normal
_SNAP_M = 1e-4  # vertices this close are one where normals are averaged


@dataclass(frozen=True, eq=False)
class TriangleSoup:
    """Every triangle of a scene, things before stuff, each in the order of its part."""

    corners_m: Float32[np.ndarray, "t 3 3"]
    normals: Float32[np.ndarray, "t 3"]  # of unit length; a triangle without area has 0
    corner_normals: Float32[np.ndarray, "t 3 3"]  # smooth over shallow creases
    uv_m: Float32[np.ndarray, "t 3 2"]
    part_of: Int32[np.ndarray, " t"]
    material_of: Int32[np.ndarray, " t"]
    materials: tuple[Material, ...]
    class_of_part: UInt8[np.ndarray, " p"]
    instance_of_part: Int32[np.ndarray, " p"]
    is_thing_part: Bool[np.ndarray, " p"]

    def __len__(self) -> int:
        return len(self.corners_m)

    @property
    def is_thing(self) -> Bool[np.ndarray, " t"]:
        return self.is_thing_part[self.part_of]


def soup_of(scene: RoomScene) -> TriangleSoup:
    """The parts' meshes, placed. Triangles without area are left out: rays miss them and they own no voxel."""
    parts = sorted(scene.parts, key=lambda part: not part.is_thing)  # stable: the scene's order within each kind
    pieces = [_placed(part) for part in parts]
    counts = [len(piece[0]) for piece in pieces]
    corners, uv = (np.concatenate([piece[n] for piece in pieces]) for n in (0, 1))
    offsets = np.cumsum([0, *(len(part.materials) for part in parts)])[:-1]
    material_of = np.concatenate([piece[2] + offset for piece, offset in zip(pieces, offsets, strict=True)])
    part_of = np.repeat(np.arange(len(parts)), counts)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1)
    has_area = length > 1e-10
    normals = (cross / np.maximum(length, 1e-30)[:, None])[has_area]
    corners, part_of = corners[has_area].astype(np.float32), part_of[has_area].astype(np.int32)
    return TriangleSoup(
        corners_m=corners,
        normals=normals.astype(np.float32),
        corner_normals=_smooth_normals(corners, normals, length[has_area], part_of),
        uv_m=uv[has_area].astype(np.float32),
        part_of=part_of,
        material_of=material_of[has_area].astype(np.int32),
        materials=tuple(material for part in parts for material in part.materials),
        class_of_part=np.array([part.class_id for part in parts], np.uint8),
        instance_of_part=np.array([part.instance_id for part in parts], np.int32),
        is_thing_part=np.array([part.is_thing for part in parts], np.bool_),
    )


def _placed(part: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners in the world in float64, texture coordinates, and the part's own material numbers."""
    mesh = part.mesh
    matrix = part.world_from_part
    own = mesh.vertices_m.astype(np.float64)[mesh.triangles]
    uv = _uv_by_dominant_axis(own) if mesh.uv_m is None else mesh.uv_m
    return own @ matrix[:3, :3].T + matrix[:3, 3], uv, mesh.material_of


def _uv_by_dominant_axis(corners: np.ndarray) -> np.ndarray:
    """The two coordinates across the axis that the triangle faces; upright surfaces keep v vertical."""
    cross = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    axes = np.array([[1, 2], [0, 2], [0, 1]])[cross.argmax(axis=1)]
    return np.take_along_axis(corners, axes[:, None, :], axis=2)


def _smooth_normals(corners: np.ndarray, normals: np.ndarray, area: np.ndarray, part_of: np.ndarray) -> np.ndarray:
    """Each corner's normal: the mean, weighted by area, of the triangles of its part that meet there nearly flat."""
    keys = np.empty((3 * len(corners), 4), np.int32)
    keys[:, :3] = np.rint(corners.reshape(-1, 3) / _SNAP_M)
    keys[:, 3] = np.repeat(part_of, 3)
    order = np.lexsort(keys.T)
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)])
    sizes = np.diff(np.r_[starts, len(order)])
    # every pair of corners (a, b) at one vertex
    per_corner = np.repeat(sizes, sizes)
    first = np.repeat(np.arange(len(order)), per_corner)
    ends = np.cumsum(per_corner)
    second = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - per_corner, per_corner)
    second += np.repeat(np.repeat(starts, sizes), per_corner)
    a, b = order[first], order[second]
    near = np.einsum("nc,nc->n", normals[a // 3], normals[b // 3]) > _SMOOTH_COSINE
    a, b = a[near], b[near] // 3
    summed = np.stack([np.bincount(a, normals[b, n] * area[b], 3 * len(corners)) for n in range(3)], axis=1)
    summed /= np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-30)
    return summed.reshape(-1, 3, 3).astype(np.float32)
