"""How much light falls on points of a room: lamps, windows and sun with shadows, and what the room itself throws back.

All light here is radiosity over pi: times a reflectance it is the radiance that a surface sends out. Light that was
reflected is gathered with rays from a cache of the room's surfaces, so that one ray stands for a whole path.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32
from scipy.ndimage import uniform_filter

from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.render.raycast import Caster
from panoptic3d.rooms.render.textures import mean_albedo
from panoptic3d.rooms.scene import Light, RoomScene

_CELL_M = 0.35
_NUM_CACHE_RAYS, _NUM_GATHER_RAYS, _NUM_BOUNCES = 4000, 10, 2
_LIFT_M = 2e-3  # rays start this far off their surface
_SUN_SIZE, _LAMP_SIZE_M = 0.006, 0.035  # what softens the edges of shadows
_SPOTS = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)], np.float32)  # of a lamp; the same for all points
_MAX_LIGHT = 60.0  # near a lamp the inverse square has no end


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What rays may meet, by triangle."""

    soup: TriangleSoup
    caster: Caster  # of all that stops light: neither glass nor what glows by itself
    albedo: Float32[np.ndarray, "m 3"]

    @classmethod
    def of(cls, soup: TriangleSoup) -> "Surfaces":
        lets_light_pass = np.array([m.transmission > 0.2 or max(m.emission) > 0 for m in soup.materials], np.bool_)
        albedo = np.array([mean_albedo(material) for material in soup.materials], np.float32)
        return cls(soup, Caster(soup, ~lets_light_pass[soup.material_of]), albedo)


def direct_from_windows(
    lights: tuple[Light, ...],
    surfaces: Surfaces,
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    random: np.random.Generator,
    num_samples: int,
) -> Float32[np.ndarray, "n 3"]:
    """From every shining rectangle, with soft shadows."""
    total = np.zeros((len(points), 3), np.float32)
    for light in (light for light in lights if light.kind == "rectangle"):
        assert light.edges_m is not None
        edges = np.array(light.edges_m)
        facing = np.cross(*edges)
        area = float(np.linalg.norm(facing))
        facing = facing / max(area, 1e-9)
        facing = facing * np.sign(np.dot(facing, light.direction) or 1.0)
        rows = max(1, round(num_samples**0.5))
        columns = -(-num_samples // rows)
        strength = np.zeros(len(points), np.float32)
        for row, column in np.ndindex(rows, columns):
            share = (random.random((len(points), 2), np.float32) + np.array((row, column))) / (rows, columns)
            spot = np.asarray(light.position_m) + share @ edges
            way = (spot - points).astype(np.float32)
            squared = np.maximum(np.einsum("nc,nc->n", way, way), 1e-4)
            leaving = -(way @ facing.astype(np.float32))
            arriving = np.einsum("nc,nc->n", way, normals)
            part = np.maximum(leaving, 0) * np.maximum(arriving, 0) / squared**2
            is_lit = part > 0
            blocked = surfaces.caster.is_blocked(
                points[is_lit] + _LIFT_M * normals[is_lit], way[is_lit], np.full(int(is_lit.sum()), 0.98, np.float32)
            )
            part[is_lit] *= ~blocked
            strength += part
        total += (
            strength[:, None] * np.float32(area / (rows * columns) / np.pi) * np.asarray(light.radiance, np.float32)
        )
    return np.minimum(total, _MAX_LIGHT)


def direct_from_lamps(
    lights: tuple[Light, ...],
    surfaces: Surfaces,
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    num_spots: int = 3,
) -> Float32[np.ndarray, "n 3"]:
    """From the sun and from points, with narrow penumbras in as many steps as spots; without noise."""
    total = np.zeros((len(points), 3), np.float32)
    for light in (light for light in lights if light.kind != "rectangle"):
        strength = np.zeros(len(points), np.float32)
        for spot in _SPOTS[:num_spots]:
            if light.kind == "sun":
                towards = -np.asarray(light.direction) / np.linalg.norm(light.direction)
                way = np.broadcast_to((towards + _SUN_SIZE * spot).astype(np.float32), points.shape)
                part, reach = np.einsum("nc,nc->n", way, normals), 100.0
            else:
                way = (np.asarray(light.position_m) + _LAMP_SIZE_M * spot - points).astype(np.float32)
                squared = np.maximum(np.einsum("nc,nc->n", way, way), 0.01)
                part, reach = np.einsum("nc,nc->n", way, normals) / squared**1.5, 0.98
            lit = np.flatnonzero(part > 0.002)
            blocked = surfaces.caster.is_blocked(
                points[lit] + _LIFT_M * normals[lit], way[lit], np.full(len(lit), reach, np.float32)
            )
            strength[lit[~blocked]] += part[lit[~blocked]]
        total += strength[:, None] / np.float32(np.pi * num_spots) * np.asarray(light.radiance, np.float32)
    return np.minimum(total, _MAX_LIGHT)


class LightCache:
    """The light that falls on the room's surfaces, by place (cells of 35 cm) and by which of six ways they face."""

    def __init__(self, scene: RoomScene, surfaces: Surfaces) -> None:
        self._surfaces = surfaces
        random = numpy_generator(scene.seed, "light cache")
        corners = surfaces.soup.corners_m.reshape(-1, 3)
        low, high = corners.min(axis=0), corners.max(axis=0)
        self._low = low
        self._shape = tuple((np.ceil((high - low) / _CELL_M).astype(int) + 1).tolist())
        points, normals = self._spread_points(scene, random)
        light = direct_from_windows(scene.lights, surfaces, points, normals, random, 4)
        light += direct_from_lamps(scene.lights, surfaces, points, normals, 1)
        seen = [_look_around(surfaces, points, normals, random) for _ in range(_NUM_GATHER_RAYS)]
        self._light = self._averaged(points, normals, light)
        for _ in range(_NUM_BOUNCES):
            thrown_back = sum(self.radiance(*found) for found in seen) / len(seen)
            self._light = self._averaged(points, normals, light + thrown_back)

    def _spread_points(self, scene: RoomScene, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Where rays from the cameras and from all over the room end."""
        corners = self._surfaces.soup.corners_m.reshape(-1, 3)
        low, high = corners.min(axis=0) + 0.2, corners.max(axis=0) - 0.2
        inside = random.uniform(low, np.maximum(high, low + 0.01), (_NUM_CACHE_RAYS // 2, 3))
        eyes = np.array([view.world_from_camera[:3, 3] for view in scene.views])
        origins = np.concatenate([inside, eyes[np.arange(_NUM_CACHE_RAYS // 2) % len(eyes)]])
        directions = random.normal(size=origins.shape)
        hits = self._surfaces.caster.cast(origins, directions)
        origins, directions, hit = origins[hits.is_hit], directions[hits.is_hit], hits.triangle[hits.is_hit]
        points = origins + directions * hits.distance[hits.is_hit, None]
        normals = facing_normals(self._surfaces.soup.normals[hit], directions)
        return points.astype(np.float32), normals.astype(np.float32)

    def gather(
        self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], random: np.random.Generator, num: int
    ) -> Float32[np.ndarray, "n 3"]:
        """What the room throws back onto points."""
        total = np.zeros((len(points), 3), np.float32)
        for _ in range(num):
            total += self.radiance(*_look_around(self._surfaces, points, normals, random))
        return total / num

    def radiance(
        self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], triangle: Int32[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "n 3"]:
        """Sent out by surface points; 0 where the triangle is `NOTHING`."""
        material = self._surfaces.soup.material_of[triangle]
        return self.light(points, normals) * self._surfaces.albedo[material] * (triangle >= 0)[:, None]

    def light(self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        return self._light[self._cells(points, normals)]

    def _cells(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        cell = ((points - self._low) / _CELL_M).astype(np.int32)
        x, y, z = (np.clip(cell[:, n], 0, size - 1) for n, size in enumerate(self._shape))
        axis = np.abs(normals).argmax(axis=1)
        side = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] > 0)
        _, size_y, size_z = self._shape
        return ((side * self._shape[0] + x) * size_y + y) * size_z + z

    def _averaged(self, points: np.ndarray, normals: np.ndarray, light: np.ndarray) -> np.ndarray:
        """Mean of each cell; cells without points take theirs from around them, or of all that face the same way."""
        cells, shape = self._cells(points, normals), (6, *self._shape)
        size = int(np.prod(shape))
        sums = np.stack([np.bincount(cells, light[:, n], size) for n in range(3)] + [np.bincount(cells, None, size)])
        sums = sums.reshape(4, *shape).astype(np.float32)
        around = uniform_filter(sums, size=[0, 0, 3, 3, 3], mode="constant") * 27  # type: ignore[arg-type]  # the stubs know one size
        wide = uniform_filter(around, size=[0, 0, 5, 5, 5], mode="constant")  # type: ignore[arg-type]
        overall = sums.sum(axis=(2, 3, 4), keepdims=True) + 1e-3 * sums.sum(axis=(1, 2, 3, 4), keepdims=True)
        pooled = sums + 0.15 * around + 1e-3 * wide + 1e-7 * overall
        return (pooled[:3] / np.maximum(pooled[3], 1e-12)).reshape(3, -1).T.astype(np.float32).copy()


def _look_around(
    surfaces: Surfaces, points: np.ndarray, normals: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One ray a point, denser towards its normal: where it ends, how that faces, and the triangle there."""
    directions = random.normal(size=points.shape).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions += normals * np.float32(1.001)
    hits = surfaces.caster.cast(points + np.float32(_LIFT_M) * normals, directions, is_exact=False)
    ends = points + directions * np.where(hits.is_hit, hits.distance, 0)[:, None]
    return ends, facing_normals(surfaces.soup.normals[hits.triangle], directions), hits.triangle


def facing_normals(normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Turned against the direction that meets them."""
    away = np.einsum("nc,nc->n", normals, directions) > 0
    return np.where(away[:, None], -normals, normals)
