"""Rays against triangles with Embree: what each pixel shows, to the pixel centre, and what lies in a light's way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from panoptic3d.optional import require
from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.scene import View

NOTHING = -1  # the triangle of a ray that leaves the room


@dataclass(frozen=True, eq=False)
class Hits:
    """One ray each. A ray that hits nothing has the triangle `NOTHING` and an infinite distance."""

    triangle: Int32[np.ndarray, " n"]
    distance: Float32[np.ndarray, " n"]  # in lengths of the direction
    weights: Float32[np.ndarray, "n 3"]  # barycentric, of the three corners

    @property
    def is_hit(self) -> Bool[np.ndarray, " n"]:
        return self.triangle != NOTHING


class Caster:
    """The triangles of a soup (or the chosen ones), ready for rays. Numbers of triangles are those of the soup."""

    def __init__(self, soup: TriangleSoup, chosen: Bool[np.ndarray, " t"] | None = None) -> None:
        self._soup = soup
        self._numbers = None if chosen is None or chosen.all() else np.flatnonzero(chosen).astype(np.int32)
        corners = soup.corners_m if self._numbers is None else soup.corners_m[self._numbers]
        self._scene = _scene_of(corners) if len(corners) else None

    def cast(
        self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], is_exact: bool = True
    ) -> Hits:
        """The nearest triangle of each ray. An exact distance is computed again from the triangle's plane, in float64:
        Embree's own is good to a few tenths of a millimetre, enough for light.
        """
        if self._scene is None or len(origins) == 0:
            num = len(origins)
            nothing = np.full(num, NOTHING, np.int32)
            return Hits(nothing, np.full(num, np.inf, np.float32), np.zeros((num, 3), np.float32))
        found = self._scene.run(_floats(origins), _floats(directions), output=True)
        is_hit = found["primID"] >= 0
        triangle = np.where(is_hit, found["primID"], 0)
        if self._numbers is not None:
            triangle = self._numbers[triangle]
        u, v = found["u"], found["v"]
        weights = np.stack([1 - u - v, u, v], axis=1)
        if not is_exact:
            distance = np.where(is_hit, found["tfar"], np.float32(np.inf))
            return Hits(np.where(is_hit, triangle, NOTHING).astype(np.int32), distance, weights)
        normal = self._soup.normals[triangle].astype(np.float64)
        along = np.einsum("nc,nc->n", normal, directions)
        offset = np.einsum("nc,nc->n", normal, self._soup.corners_m[triangle, 0] - origins)
        is_steep = np.abs(along) > 1e-4 * np.linalg.norm(directions, axis=1)
        exact = np.divide(offset, along, out=found["tfar"].astype(np.float64), where=is_steep)
        distance = np.where(is_hit, exact, np.inf).astype(np.float32)
        return Hits(np.where(is_hit, triangle, NOTHING).astype(np.int32), distance, weights)

    def is_blocked(
        self,
        origins: Float32[np.ndarray, "n 3"],
        directions: Float32[np.ndarray, "n 3"],
        reach: Float32[np.ndarray, " n"] | None = None,
    ) -> Bool[np.ndarray, " n"]:
        """Whether anything lies within `reach` (in lengths of the direction; None: anywhere) along each ray."""
        if self._scene is None or len(origins) == 0:
            return np.zeros(len(origins), np.bool_)
        limits = np.full(len(origins), 1e30, np.float32) if reach is None else np.array(reach, np.float32)
        return self._scene.run(_floats(origins), _floats(directions), limits, query="OCCLUDED") == 0


def pixel_rays(
    view: View, pixels: Float[np.ndarray, "n 2"] | None = None
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """World-frame rays through pixels (column, row; None: every centre, row by row), with depth 1 at parameter 1."""
    camera = view.camera
    if pixels is None:
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    x = (pixels[:, 0] - camera.cx_px) / camera.fx_px
    y = (pixels[:, 1] - camera.cy_px) / camera.fy_px
    directions = np.stack([x, y, np.ones_like(x)], axis=1) @ view.world_from_camera[:3, :3].T
    return np.broadcast_to(view.world_from_camera[:3, 3], directions.shape), directions


def _scene_of(corners: np.ndarray) -> Any:
    require("embreex", "making rooms")
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene(_device())
    TriangleMesh(scene, np.ascontiguousarray(corners, np.float32))
    scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))  # builds the tree
    return scene


@cache
def _device() -> Any:
    """One a process. Its tree builder takes as many threads as it sees cores; with one, a scene's tree is always the same
    (what wins between triangles in one place depends on it) and workers leave each other alone.
    """
    from embreex.rtcore import EmbreeDevice

    with _on_one_core():
        return EmbreeDevice()


@contextmanager
def _on_one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):  # not Linux: Embree decides
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _floats(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
