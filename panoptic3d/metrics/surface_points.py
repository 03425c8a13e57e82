"""Points on surfaces: from meshes, and from distance fields."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer

from panoptic3d.randomness import numpy_generator
from panoptic3d.structures.grid import VoxelGrid


@dataclass(frozen=True, eq=False)
class SurfacePoints:
    """In metres. Normals are of unit length and may point to either side."""

    points_m: Float64[np.ndarray, "n 3"]
    normals: Float64[np.ndarray, "n 3"]

    def __len__(self) -> int:
        return len(self.points_m)

    def where(self, keep: Bool[np.ndarray, " n"] | Integer[np.ndarray, " m"]) -> "SurfacePoints":
        return SurfacePoints(self.points_m[keep], self.normals[keep])

    def moved(self, matrix: Float64[np.ndarray, "4 4"]) -> "SurfacePoints":
        """By a similarity: turn, scale and shift."""
        linear = matrix[:3, :3]
        scale = np.cbrt(abs(np.linalg.det(linear)))
        return SurfacePoints(self.points_m @ linear.T + matrix[:3, 3], self.normals @ (linear / scale).T)

    def drawn(self, count: int, seed: int, *stream: str) -> "SurfacePoints":
        """A random sample of `count` points, or all points if there are fewer."""
        if len(self) <= count:
            return self
        chosen = numpy_generator(seed, "points of a surface", *stream).choice(len(self), count, replace=False)
        return self.where(np.sort(chosen))

    def thinned(self, cell_m: float) -> "SurfacePoints":
        """The mean of the points of each cell."""
        cells = np.floor(self.points_m / cell_m).astype(np.int64)
        _, place, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
        place = place.ravel()
        means = np.stack([np.bincount(place, self.points_m[:, axis]) / counts for axis in range(3)], axis=1)
        first = np.zeros(len(counts), dtype=np.int64)
        first[place[::-1]] = np.arange(len(self))[::-1]
        return replace(self.where(first), points_m=means)


def sample_mesh(
    vertices_m: Float[np.ndarray, "v 3"], faces: Integer[np.ndarray, "f 3"], count: int, seed: int = 0
) -> SurfacePoints:
    """Random points, uniform over the area of a triangle mesh."""
    random = numpy_generator(seed, "points of a mesh")
    corners = np.asarray(vertices_m, dtype=np.float64)[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_area = np.linalg.norm(cross, axis=1)
    if not len(faces) or double_area.sum() == 0:
        return SurfacePoints(np.zeros((0, 3)), np.zeros((0, 3)))
    chosen = random.choice(len(faces), count, p=double_area / double_area.sum())
    u, v = random.random((2, count, 1))
    is_outside = u + v > 1
    u, v = np.where(is_outside, 1 - u, u), np.where(is_outside, 1 - v, v)
    base, first, second = np.moveaxis(corners[chosen], 1, 0)
    points = base + u * (first - base) + v * (second - base)
    return SurfacePoints(points, cross[chosen] / double_area[chosen, None])


def points_of_field(
    distance_vox: Float[np.ndarray, "x y z"], grid: VoxelGrid, is_wanted: Bool[np.ndarray, "x y z"] | None = None
) -> SurfacePoints:
    """Surface points of an unsigned field: each grid point nearer than one voxel, moved down the gradient by its distance.

    Points where the gradient vanishes, in the middle between two sheets, say nothing and are left out.
    """
    is_near = np.abs(distance_vox) < 1
    if is_wanted is not None:
        is_near &= is_wanted
    coords = np.argwhere(is_near)
    distance = np.abs(distance_vox[is_near]).astype(np.float64)
    gradient = np.stack([_slope(np.abs(distance_vox), coords, axis) for axis in range(3)], axis=1)
    length = np.linalg.norm(gradient, axis=1)
    is_clear = (length > 0.1) | (distance < 0.05)
    normal = gradient / np.maximum(length, 1e-6)[:, None]
    index = (coords - distance[:, None] * normal)[is_clear]
    points = (index - np.array(grid.camera_index)) * grid.voxel_size_m
    return SurfacePoints(points, normal[is_clear])


def _slope(distance: np.ndarray, coords: np.ndarray, axis: int) -> Float64[np.ndarray, " n"]:
    """Central difference, one-sided at the border of the grid."""
    step = np.zeros(3, dtype=np.int64)
    step[axis] = 1
    last = np.array(distance.shape) - 1
    ahead, behind = np.minimum(coords + step, last), np.maximum(coords - step, 0)
    rise = distance[tuple(ahead.T)].astype(np.float64) - distance[tuple(behind.T)].astype(np.float64)
    return rise / np.maximum((ahead - behind)[:, axis], 1)
