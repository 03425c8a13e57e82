"""Pictures: laws of light and texture, the same bytes for a seed, and the path tracer's contract."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panoptic3d.optional import is_installed
from panoptic3d.rooms.analytic.boxes import random_room
from panoptic3d.rooms.analytic.from_boxes import scene_from_boxes
from panoptic3d.rooms.meshes.soup import TriangleSoup, soup_of
from panoptic3d.rooms.render.fast import LitRoom
from panoptic3d.rooms.render.film import Film, develop
from panoptic3d.rooms.render.light import Surfaces, direct_from_lamps, direct_from_windows
from panoptic3d.rooms.render.raycast import NOTHING, Caster
from panoptic3d.rooms.render.smooth import smooth
from panoptic3d.rooms.render.textures import albedo, mean_albedo
from panoptic3d.rooms.scene import Light, Material
from panoptic3d.rooms.truth.pixels import pixel_truth

_KINDS = ["plain", "wood", "tiles", "planks", "carpet", "cloth", "marble", "stripes", "brick", "picture"]


def _room(seed: int = 3) -> tuple[LitRoom, TriangleSoup, Caster]:
    scene = scene_from_boxes(random_room(seed), seed)
    soup = soup_of(scene)
    caster = Caster(soup)
    return LitRoom(scene, soup, caster), soup, caster


@pytest.mark.parametrize("kind", _KINDS)
def test_textures_are_reflectances_and_fade_to_their_mean(kind: str) -> None:
    material = Material((0.5, 0.4, 0.3), kind, (0.2, 0.25, 0.3), seed=5)  # pyright: ignore[reportArgumentType]
    uv = np.random.default_rng(0).uniform(-3, 3, (4000, 2))
    number = np.zeros(4000, np.int32)
    fine, coarse = (albedo((material,), number, uv, np.full(4000, size, np.float32)) for size in (0.0005, 3.0))
    for colors in (fine, coarse):
        assert colors.shape == (4000, 3)
        assert np.isfinite(colors).all()
        assert colors.min() >= 0
        assert colors.max() <= 0.95
    if kind != "picture":  # few large fields, whose mean no formula knows
        assert np.abs(fine.mean(axis=0) - coarse.mean(axis=0)).max() < 0.12
    assert coarse.std(axis=0).max() <= fine.std(axis=0).max() + 1e-3
    assert np.array_equal(fine, albedo((material,), number, uv, np.full(4000, 0.0005, np.float32)))
    assert all(0 <= channel <= 0.95 for channel in mean_albedo(material))


def test_no_points_no_colours() -> None:
    assert albedo((Material((0.5, 0.5, 0.5)),), np.zeros(0, np.int32), np.zeros((0, 2)), np.zeros(0)).shape == (0, 3)


def test_a_lamp_lights_by_the_inverse_square_and_not_through_things() -> None:
    _, soup, _ = _room()
    surfaces = Surfaces.of(soup)
    up = np.array([[0.0, 0.0, 1.0]], np.float32)
    near, far, below = (np.array([[0.0, 0.0, z]], np.float32) for z in (2.4, 2.2, -0.5))
    lamp = (Light("point", (1.0, 1.0, 1.0), (0.0, 0.0, 2.6)),)
    light = [float(direct_from_lamps(lamp, surfaces, point, up)[0, 0]) for point in (near, far, below)]
    assert light[0] / light[1] == pytest.approx(4.0, rel=0.15)
    assert light[2] == 0  # the floor is in the way


def test_a_window_as_wide_as_the_sky_gives_its_radiance() -> None:
    """Radiosity over pi under a uniform half space is its radiance."""
    _, soup, _ = _room()
    surfaces = Surfaces.of(soup)
    panel = (
        Light(
            "rectangle", (2.0, 2.0, 2.0), (-60.0, -60.0, 9.0), (0.0, 0.0, -1.0), ((120.0, 0.0, 0.0), (0.0, 120.0, 0.0))
        ),
    )
    points, up = np.array([[0.0, 0.0, 5.0]] * 500, np.float32), np.array([[0.0, 0.0, 1.0]] * 500, np.float32)
    light = direct_from_windows(panel, surfaces, points, up, np.random.default_rng(0), 100)
    assert float(light[:, 0].mean()) == pytest.approx(2.0, rel=0.15)


def test_smoothing_keeps_constants_and_edges() -> None:
    points = np.zeros((20, 30, 3), np.float32)
    points[..., 0], points[..., 2] = np.meshgrid(np.arange(30) * 0.01, np.ones(20), indexing="xy")
    normals = np.zeros_like(points)
    normals[..., 2] = 1
    points[:, 15:, 2] = 3.0
    light = np.ones((20, 30, 3), np.float32)
    light[:, 15:] = 5
    assert np.allclose(smooth(light, points, normals, np.full((20, 30), 0.01, np.float32)), light, atol=1e-2)


@given(st.floats(1e-3, 1e3))
@settings(max_examples=10)
def test_exposure_follows_the_light(scale: float) -> None:
    radiance = np.random.default_rng(1).uniform(0.1, 2.0, (24, 32, 3)).astype(np.float32)
    film = Film(noise=0.0)
    first, second = (develop(radiance * np.float32(by), film, np.random.default_rng(0)) for by in (1.0, scale))
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.slow
def test_a_seed_gives_the_same_photo_and_another_seed_another() -> None:
    room, soup, caster = _room()
    view = room.scene.views[0]
    hits = pixel_truth(soup, caster, view).hits
    again, _, _ = _room()
    first = room.photo(view, hits, 0)
    assert np.array_equal(first, again.photo(view, hits, 0))
    assert not np.array_equal(first, room.photo(view, hits, 1))
    assert 60 < first.mean() < 220


def test_rays_that_leave_hit_nothing() -> None:
    _, soup, caster = _room()
    hits = caster.cast(np.array([[0.0, 0.0, 50.0]]), np.array([[0.0, 0.0, 1.0]]))
    assert hits.triangle.tolist() == [NOTHING]
    assert np.isinf(hits.distance).all()
    assert not Caster(soup, np.zeros(len(soup), np.bool_)).cast(np.zeros((2, 3)), np.ones((2, 3))).is_hit.any()


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("mitsuba"), reason="mitsuba is not installed (pip install 'panoptic3d[photo]')")
def test_traced_photos_show_the_same_room() -> None:
    """The two renderers agree but for what one bounce leaves out."""
    from panoptic3d.rooms.render.photo import TracedRoom

    room, soup, caster = _room()
    view = room.scene.views[0]
    hits = pixel_truth(soup, caster, view).hits
    film = Film(noise=0.0)
    traced = TracedRoom(room.scene, soup, caster, 16)
    fast, photo = room.photo(view, hits, 0, film), traced.photo(view, hits, 0, film)
    assert np.array_equal(photo, traced.photo(view, hits, 0, film))
    assert np.abs(fast.astype(float) - photo).mean() < 12
