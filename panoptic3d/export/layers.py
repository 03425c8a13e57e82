"""One layer for each surface: a shell shows a wall twice, once from each side."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from panoptic3d.export.free_space import SHELL_VOX, TRUNCATION_VOX, FreeSpace
from panoptic3d.export.rows import directions, dots, lengths, of_corners
from panoptic3d.export.shell import Shell

_BEHIND_VOX = SHELL_VOX + 0.8  # so far behind a surface without thickness there is free space again
_THIN_SHARE = 0.4  # fraction of that distance: thinner parts are one sheet, thicker parts have two sides
_NEAR_STEPS = 3  # grid points around a surface within which a region is on its other side, or beside its end
_GRAZING = 0.15  # cosine; sheets seen so flatly turn one way, whatever the view: noise would turn each quad by itself
_ONE_WAY = np.array([0.36, -0.8, -0.48])
_LEAST_PATCH = 40  # quads; a smaller patch follows the decision around it


def one_layer(space: FreeSpace, shell: Shell, camera_index: Float[np.ndarray, "3"]) -> Bool[np.ndarray, " q"]:
    """Which quads stay. Between two regions the one of lower rank shows the surface, so that closed things stay closed; of a
    sheet within one region the side that faces the camera stays. Plates thicker than half a voxel keep both sides.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="joints") as beside:
        joints = beside.submit(_joints, shell.quads)
        centres = shell.centres
        is_hidden = _is_back_of_sheet(space, shell, centres, camera_index) | _is_seen_from_better(space, shell, centres)
    return _without_small_patches(joints.result(), ~is_hidden)


def _is_back_of_sheet(space: FreeSpace, shell: Shell, centres: np.ndarray, camera_index: np.ndarray) -> np.ndarray:
    normal = directions(of_corners(shell.normals, shell.quads))
    behind = space.nearest(centres - normal * _BEHIND_VOX)
    depth = dots(centres - space.index_of(behind), normal)
    thickness = depth - space.field[behind]
    is_sheet = (space.region[behind] == space.region[shell.free_end]) & (space.field[behind] < TRUNCATION_VOX)
    is_sheet &= thickness < _THIN_SHARE * depth
    is_sheet |= ~space.is_known[behind]  # the end of what is known: the side that is seen may end a little earlier
    view = camera_index - centres
    cosine = dots(view, normal) / np.maximum(lengths(view), 1e-9)
    return is_sheet & (np.where(np.abs(cosine) < _GRAZING, normal @ _ONE_WAY, cosine) <= 0)


def _is_seen_from_better(space: FreeSpace, shell: Shell, centres: np.ndarray) -> np.ndarray:
    """Whether a region of a lower rank lies close by, on the other side."""
    own = space.rank[space.region[shell.free_end]]
    rows = np.flatnonzero(own > own.min())
    here = space.nearest(centres[rows])
    is_seen = np.zeros(len(rows), np.bool_)
    steps = np.arange(-_NEAR_STEPS, _NEAR_STEPS + 1)
    ball = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    for step in ball[np.linalg.norm(ball, axis=1) <= _NEAR_STEPS + 0.5]:
        there = np.clip(here + step @ space.strides, 0, space.region.size - 1)
        is_seen |= space.rank[space.region[there]] < own[rows]
    result = np.zeros(len(own), np.bool_)
    result[rows] = is_seen
    return result


def _joints(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of quads with a side in common."""
    start, end = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    key = np.minimum(start, end) * (int(quads.max(initial=0)) + 1) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    owner = np.repeat(np.arange(len(quads)), 4)[order]
    is_joint = key[order][1:] == key[order][:-1]
    return owner[:-1][is_joint], owner[1:][is_joint]


def _without_small_patches(joints: tuple[np.ndarray, np.ndarray], is_kept: np.ndarray) -> np.ndarray:
    """Small patches of either kind within the other kind change over: first those that stay, then the holes."""
    one, other = joints
    for kind in (True, False):
        is_same = is_kept[one] == is_kept[other]
        links = coo_matrix((np.ones(int(is_same.sum()), np.bool_), (one[is_same], other[is_same])), (len(is_kept),) * 2)
        _, patch = connected_components(links, connection="weak")
        size = np.bincount(patch, minlength=1)
        has_border = np.zeros(len(size), np.bool_)
        has_border[patch[one[~is_same]]] = has_border[patch[other[~is_same]]] = True
        is_kept = is_kept ^ ((is_kept == kind) & (size < _LEAST_PATCH)[patch] & has_border[patch])
    return is_kept
