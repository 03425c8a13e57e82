"""The `fast` renderer: rays and numpy. Soft light at half the resolution, smoothed; shadows of lamps and sun at full
resolution; edges sampled four times; mirrors and glass followed once.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.render.film import Film, develop
from panoptic3d.rooms.render.light import LightCache, Surfaces, direct_from_lamps, direct_from_windows, facing_normals
from panoptic3d.rooms.render.raycast import Caster, Hits, pixel_rays
from panoptic3d.rooms.render.smooth import at_pixels, smooth
from panoptic3d.rooms.render.textures import albedo
from panoptic3d.rooms.scene import RoomScene, View

_NUM_WINDOW_RAYS, _NUM_GATHER_RAYS = 4, 6
_SUBPIXELS = np.array([(-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)])
_GAP = 0.02
_SHINY = 0.5  # materials rougher than this reflect no shapes


class LitRoom:
    """A room whose light has been worked out: views are pictures of it."""

    def __init__(self, scene: RoomScene, soup: TriangleSoup, caster: Caster) -> None:
        self.scene, self.soup, self.caster = scene, soup, caster
        self.surfaces = Surfaces.of(soup)
        self.cache = LightCache(scene, self.surfaces)
        materials = soup.materials
        self.emission = np.array([m.emission for m in materials], np.float32)
        self.transmission = np.array([m.transmission for m in materials], np.float32)
        self.roughness = np.array([m.roughness for m in materials], np.float32)
        self.metallic = np.array([m.metallic for m in materials], np.float32)

    def photo(self, view: View, hits: Hits, seed: int, film: Film | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Render a view whose pixel centres meet `hits`. The same seed gives the same noise."""
        random = numpy_generator(self.scene.seed, "photo", seed)
        film = Film.varied(random) if film is None else film
        return develop(self.radiance(view, hits, random), film, random)

    def radiance(self, view: View, hits: Hits, random: np.random.Generator) -> Float32[np.ndarray, "h w 3"]:
        origins, directions = pixel_rays(view)
        seen = _Seen.of(self, view, origins, directions, hits)
        light = self._light(view, seen, random)
        colors = self._shade(seen, light)
        edges = np.flatnonzero(_edges(seen, view))
        colors[edges] = self._at_edges(view, edges, seen, light)
        return colors.reshape(view.camera.height, view.camera.width, 3)

    def _light(self, view: View, seen: "_Seen", random: np.random.Generator) -> np.ndarray:
        """On every pixel's surface: soft parts from half the resolution."""
        height, width = view.camera.height, view.camera.width
        rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
        chosen = (rows[:, None] * width + columns).reshape(-1)
        points, normals = seen.points[chosen], seen.normals[chosen]
        soft = direct_from_windows(
            self.scene.lights, self.surfaces, points, normals, random, _NUM_WINDOW_RAYS
        ) + self.cache.gather(points, normals, random, _NUM_GATHER_RAYS)
        size = (len(rows), len(columns))
        reach = np.maximum(0.02 * seen.depth[chosen], 0.01)
        soft = smooth(
            soft.reshape(*size, 3), points.reshape(*size, 3), normals.reshape(*size, 3), reach.reshape(size)
        ).reshape(-1, 3)
        lamps = direct_from_lamps(self.scene.lights, self.surfaces, seen.points, seen.normals)
        row, column = np.divmod(np.arange(height * width), width)
        neighbours, weights = _around(row / 2, column / 2, size)
        spread = at_pixels(
            soft, points, normals, neighbours, weights, seen.points, seen.normals, np.maximum(0.02 * seen.depth, 0.01)
        )
        return lamps + spread

    def _shade(self, seen: "_Seen", light: np.ndarray) -> np.ndarray:
        material = seen.material
        color = albedo(self.soup.materials, material, seen.uv, seen.footprint)
        diffuse = color * light * (1 - self.metallic[material])[:, None]
        result = diffuse + self.emission[material]
        shiny = np.flatnonzero(seen.is_hit & (self.roughness[material] < _SHINY))
        result[shiny] += self._mirrored(seen, shiny, color[shiny])
        clear = np.flatnonzero(seen.is_hit & (self.transmission[material] > 0))
        if len(clear):
            share = self.transmission[material[clear]][:, None]
            tint = 0.5 + 0.5 * np.asarray(color[clear])
            result[clear] = (1 - share) * result[clear] + share * tint * self._behind(seen, clear)
        outside = np.flatnonzero(~seen.is_hit)
        result[outside] = _GAP  # the sky is behind panes; what is seen past the shell is a gap, such as below a door
        return result

    def _mirrored(self, seen: "_Seen", chosen: np.ndarray, color: np.ndarray) -> np.ndarray:
        """One ray each, weighted by Schlick's formula and fading with the roughness: spread rays would be noise."""
        normals, material = seen.normals[chosen], seen.material[chosen]
        directions = seen.directions[chosen] / np.linalg.norm(seen.directions[chosen], axis=1, keepdims=True)
        cosine = np.clip(-np.einsum("nc,nc->n", directions, normals), 0, 1)
        roughness = self.roughness[material]
        mirrored = directions + 2 * cosine[:, None] * normals
        below = np.minimum(np.einsum("nc,nc->n", mirrored, normals), 0)
        mirrored = mirrored - 2 * below[:, None] * normals
        metallic = self.metallic[material][:, None]
        facing = 0.04 * (1 - metallic) + color * metallic
        strength = facing + (1 - facing) * ((1 - cosine) ** 5)[:, None] * np.square(1 - roughness)[:, None]
        strength = strength * np.where(metallic > 0.5, 1.0, (1 - roughness / _SHINY)[:, None])
        return strength * self._along(seen.points[chosen] + 2e-3 * normals, mirrored)

    def _behind(self, seen: "_Seen", chosen: np.ndarray) -> np.ndarray:
        """What is seen through a pane."""
        directions = seen.directions[chosen]
        return self._along(seen.points[chosen] + 1e-3 * directions, directions)

    def _along(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Radiance that comes along rays, through panes, with the cached light at their ends."""
        clear = self.transmission[self.soup.material_of]
        result = np.zeros((len(origins), 3), np.float32)
        left = np.arange(len(origins))
        origins = origins.copy()
        for _ in range(3):
            hits = self.caster.cast(origins[left], directions[left], is_exact=False)
            is_pane = hits.is_hit & (clear[hits.triangle] > 0.5)
            ends = origins[left] + directions[left] * np.where(hits.is_hit, hits.distance, 0)[:, None]
            normals = facing_normals(self.soup.normals[hits.triangle], directions[left])
            material = self.soup.material_of[hits.triangle]
            uv = np.einsum("nk,nkc->nc", hits.weights, self.soup.uv_m[hits.triangle])
            color = albedo(self.soup.materials, material, uv, np.full(len(left), 0.01, np.float32))
            found = color * self.cache.light(ends, normals) + self.emission[material]
            is_outside = ~hits.is_hit
            found[is_outside] = sky_radiance(self.scene.sky, directions[left][is_outside])
            result[left] = found
            origins[left] = ends + 1e-3 * directions[left]
            left = left[is_pane]
            if len(left) == 0:
                break
        return result

    def _at_edges(self, view: View, edges: np.ndarray, seen: "_Seen", light: np.ndarray) -> np.ndarray:
        """Mean of four samples in each pixel, lit as the pixels around it are."""
        width, height = view.camera.width, view.camera.height
        row, column = np.divmod(edges, width)
        centre = np.stack([column, row], axis=1)
        pixels = (centre[:, None] + _SUBPIXELS).reshape(-1, 2)
        origins, directions = pixel_rays(view, pixels)
        fine = _Seen.of(self, view, origins, directions, self.caster.cast(origins, directions))
        steps = np.array([(j, i) for j in (-1, 0, 1) for i in (-1, 0, 1)])
        near_row = np.clip(np.repeat(row, 4)[:, None] + steps[:, 0], 0, height - 1)
        near_column = np.clip(np.repeat(column, 4)[:, None] + steps[:, 1], 0, width - 1)
        weights = np.broadcast_to(np.exp(-0.5 * np.square(steps).sum(axis=1)).astype(np.float32), near_row.shape)
        own_light = at_pixels(
            light,
            seen.points,
            seen.normals,
            near_row * width + near_column,
            weights,
            fine.points,
            fine.normals,
            np.maximum(0.02 * fine.depth, 0.01),
        )
        colors = self._shade(fine, own_light)
        brightest = 4 * np.maximum(np.median(colors), 1e-3)  # a lamp's rim would stay jagged
        return np.minimum(colors, np.maximum(brightest, 1.0)).reshape(-1, 4, 3).mean(axis=1)


def sky_radiance(sky: tuple[float, float, float], directions: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
    """A bright sky over a hazy horizon and a garden."""
    up = directions[:, 2] / np.maximum(np.linalg.norm(directions, axis=1), 1e-9)
    radiance = np.asarray(sky, np.float32)
    blue = np.array([0.62, 0.8, 1.0], np.float32)
    ground = np.array([0.34, 0.38, 0.31], np.float32)
    high = np.clip(up * 2.5, 0, 1)[:, None]
    colors = radiance * ((1 - high) + high * blue)
    azimuth = np.arctan2(directions[:, 1], directions[:, 0])
    trees = 0.02 + 0.03 * np.sin(3 * azimuth) + 0.02 * np.sin(11 * azimuth + 1) + 0.012 * np.sin(37 * azimuth)
    below = np.clip((trees - up) * 16, 0, 1)[:, None]
    return (colors * (1 - below) + radiance * ground * below).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What rays of a view meet, ready to be shaded."""

    is_hit: np.ndarray
    triangle: np.ndarray
    part: np.ndarray
    material: np.ndarray
    points: np.ndarray
    normals: np.ndarray  # smooth, towards the camera
    depth: np.ndarray
    uv: np.ndarray
    directions: np.ndarray
    footprint: np.ndarray

    @classmethod
    def of(cls, room: LitRoom, view: View, origins: np.ndarray, directions: np.ndarray, hits: Hits) -> "_Seen":
        soup = room.soup
        depth = np.where(hits.is_hit, hits.distance, 1.0).astype(np.float32)
        flat = facing_normals(soup.normals[hits.triangle], directions)
        bent = np.einsum("nk,nkc->nc", hits.weights, soup.corner_normals[hits.triangle])
        bent /= np.maximum(np.linalg.norm(bent, axis=1, keepdims=True), 1e-6)
        bent = np.where((np.einsum("nc,nc->n", bent, flat) < 0)[:, None], -bent, bent)
        is_plausible = np.einsum("nc,nc->n", bent, directions) < 0
        normals = np.where(is_plausible[:, None], bent, flat)
        slant = np.abs(np.einsum("nc,nc->n", directions, flat)) / np.linalg.norm(directions, axis=1)
        # halfway between the short and the long axis of the pixel's patch: less blur along it, little flicker across
        footprint = depth / view.camera.fx_px / np.sqrt(np.clip(slant, 0.05, 1))
        return cls(
            is_hit=hits.is_hit,
            triangle=hits.triangle,
            part=np.where(hits.is_hit, soup.part_of[hits.triangle], -1),
            material=soup.material_of[hits.triangle],
            points=(origins + directions * depth[:, None]).astype(np.float32),
            normals=normals.astype(np.float32),
            depth=depth,
            uv=np.einsum("nk,nkc->nc", hits.weights, soup.uv_m[hits.triangle]),
            directions=directions.astype(np.float32),
            footprint=footprint.astype(np.float32),
        )


def _edges(seen: _Seen, view: View) -> np.ndarray:
    """Pixels whose neighbours show another part, another material, or a fold."""
    size = (view.camera.height, view.camera.width)
    kind = (seen.part.astype(np.int64) * 4096 + seen.material).reshape(size)
    normals = seen.normals.reshape(*size, 3)
    depth = seen.depth.reshape(size)
    result = np.zeros(size, np.bool_)
    for axis in (0, 1):
        first, second = [slice(None)] * 2, [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(second)
        differs = kind[a] != kind[b]
        differs |= np.einsum("hwc,hwc->hw", normals[a], normals[b]) < 0.85
        differs |= np.abs(depth[a] - depth[b]) > 0.08 * np.minimum(depth[a], depth[b])
        result[a] |= differs
        result[b] |= differs
    return result.reshape(-1)


def _around(row: np.ndarray, column: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels of a smaller picture around a place, and their bilinear weights."""
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = row - top, column - left
    numbers, weights = [], []
    for j, i in np.ndindex(2, 2):
        numbers.append(np.minimum(top + j, size[0] - 1) * size[1] + np.minimum(left + i, size[1] - 1))
        weights.append(((down if j else 1 - down) * (right if i else 1 - right) + 0.05).astype(np.float32))
    return np.stack(numbers, axis=1), np.stack(weights, axis=1)
