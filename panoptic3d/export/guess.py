"""The part of the volume's mesh that the photo does not show (the guess): docs/adr/0012-looks.md.

A photo says two things: where its surfaces are, and that nothing is in front of them. So what the volume has at the visible
surface is shown better by the photo's mesh, and what it has in front of it is wrong. What remains is behind: the guess.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from panoptic3d.structures.camera import Camera

_AT_VOX = 1.75  # so far behind the visible surface of its segment a vertex may still be that surface
_AT_OTHER_VOX = 0.5  # and behind that of another segment, which stands in front of it
_BEHIND_VOX = 0.3  # where the rim of the guess is put, so that the two layers do not fight for pixels
_AGAIN_M = 0.5  # within it a surface that faces the camera is the visible one of its segment once more
_SMALL_PX = 5  # a face of a voxel at arm's length
_LEAST_PIECE = 120  # faces
_NUM_NEAREST = 6
_MOST_POINTS = 4000  # of a segment, whose colours are continued


@dataclass(frozen=True, eq=False)
class Sight:
    """Visible depth at the pixels of the photo's mesh; unknown where it is not finite."""

    camera: Camera
    depth_m: Float[np.ndarray, "h w"]
    segment: Int64[np.ndarray, "h w"]

    def deepest_nearby(self, size: int = 3) -> Float[np.ndarray, "h w"]:
        """Largest depth of each pixel and its neighbours; minus infinity where all are unknown."""
        return ndimage.maximum_filter(np.where(np.isfinite(self.depth_m), self.depth_m, -np.inf), size)

    def pixels_of(self, points_m: Float[np.ndarray, "n 3"]) -> tuple[np.ndarray, Bool[np.ndarray, " n"]]:
        """The flat pixel of each point, and whether it lies in the picture."""
        depth = np.maximum(points_m[:, 2], 1e-6)
        u = np.floor(points_m[:, 0] / depth * self.camera.fx_px + self.camera.cx_px + 0.5)
        v = np.floor(points_m[:, 1] / depth * self.camera.fy_px + self.camera.cy_px + 0.5)
        size = self.camera
        is_inside = (points_m[:, 2] > 1e-3) & (u >= 0) & (u < size.width) & (v >= 0) & (v < size.height)
        flat = np.where(is_inside, v * size.width + u, 0).astype(np.int64)
        return flat, is_inside


def behind_photo(
    vertices_m: Float[np.ndarray, "v 3"],
    faces: Int64[np.ndarray, "f 3"],
    vertex_segment: Int64[np.ndarray, " v"],
    sight: Sight,
    voxel_size_m: float,
) -> tuple[Float[np.ndarray, "v 3"], Bool[np.ndarray, " f"]]:
    """The vertices, those at the rim moved to just behind the visible surface, and which faces stay."""
    pixel, is_inside = sight.pixels_of(vertices_m)
    shown = np.where(np.isfinite(sight.depth_m), sight.depth_m, 0.0)
    deepest = ndimage.maximum_filter(shown, 3).ravel()[pixel]
    visible = shown.ravel()[pixel]
    depth = vertices_m[:, 2]
    is_judged = is_inside & (visible > 0)
    is_own = sight.segment.ravel()[pixel] == vertex_segment
    reach = np.where(is_own, _AT_VOX, _AT_OTHER_VOX) * voxel_size_m
    margin = reach + np.where(is_own, (deepest - visible).clip(0, 4 * voxel_size_m), 0)
    is_at = is_judged & (depth < visible + margin)
    is_wrong = is_at & (depth < visible - 2 * _AT_VOX * voxel_size_m)
    stays = ~is_at[faces].all(axis=1) & ~is_wrong[faces].any(axis=1)
    stays &= ~_is_again(vertices_m, faces, vertex_segment[faces[:, 0]], sight)
    moved = vertices_m.copy()
    rim = np.flatnonzero(is_at)
    moved[rim] *= ((visible[rim] + _BEHIND_VOX * voxel_size_m) / depth[rim])[:, None]
    return moved, stays


def _is_again(
    vertices_m: np.ndarray, faces: np.ndarray, face_segment: np.ndarray, sight: Sight
) -> Bool[np.ndarray, " f"]:
    """Faces that look at the camera a little behind where the photo shows their own segment."""
    a, b, c = (vertices_m[faces[:, k]] for k in range(3))
    middle = (a + b + c) / 3
    pixel, is_inside = sight.pixels_of(middle)
    gap = middle[:, 2] - sight.depth_m.ravel()[pixel]
    looks_here = (np.cross(b - a, c - a) * middle).sum(axis=1) < 0
    return is_inside & looks_here & (sight.segment.ravel()[pixel] == face_segment) & (gap < _AGAIN_M)


def may_be_seen(
    vertices_m: Float[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"], sight: Sight, behind_m: float
) -> Bool[np.ndarray, " f"]:
    """False for faces that are behind everything around them, so that they need not be rendered to be sorted out."""
    pixel, is_inside = sight.pixels_of(vertices_m)
    is_behind = is_inside & (vertices_m[:, 2] > sight.deepest_nearby(2 * _SMALL_PX + 1).ravel()[pixel] + behind_m)
    width = sight.camera.width
    row, column = (pixel // width)[faces], (pixel % width)[faces]
    is_small = (np.ptp(row, axis=1) <= _SMALL_PX) & (np.ptp(column, axis=1) <= _SMALL_PX)
    return ~(is_behind[faces].all(axis=1) & is_small)


def is_scrap(faces: Int64[np.ndarray, "f 3"]) -> Bool[np.ndarray, " f"]:
    """Faces of pieces that are too small to be anything."""
    used, corner = np.unique(faces, return_inverse=True)
    a, b, c = corner.reshape(-1, 3).T
    links = coo_matrix(
        (np.ones(2 * len(a), np.bool_), (np.concatenate((a, b)), np.concatenate((b, c)))), (len(used),) * 2
    )
    _, piece = connected_components(links, connection="weak")
    return (np.bincount(piece[a], minlength=1) < _LEAST_PIECE)[piece[a]]


def continued_colors(
    vertices_m: Float[np.ndarray, "v 3"],
    shown_m: Float[np.ndarray, "n 3"],
    shown_color: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "v 3"]:
    """The mean colour of the nearest visible points, which must be there."""
    step = -(-len(shown_m) // _MOST_POINTS)
    tree = KDTree(shown_m[::step])
    num = min(_NUM_NEAREST, tree.n)
    distance, row = tree.query(vertices_m, k=num)
    distance, row = distance.reshape(-1, num), row.reshape(-1, num)
    weight = 1 / (distance + 0.02)
    return (shown_color[::step][row] * weight[..., None]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
