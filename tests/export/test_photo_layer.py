"""What a photo shows, as a mesh: laws of its pixels, its edges and what stays behind it."""

import numpy as np
import pytest
import torch

from panoptic3d.export.guess import Sight, behind_photo
from panoptic3d.export.photo_depth import joined, sharpened, without_flakes
from panoptic3d.export.photo_mesh import photo_mesh
from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.raster import in_front, rasterize

CAMERA = Camera.from_fov(60.0, 48, 36)


def _plane(normal: tuple[float, float, float], offset_m: float) -> np.ndarray:
    """Depth of the plane `normal @ point = offset` at every pixel."""
    x = (np.arange(CAMERA.width) - CAMERA.cx_px) / CAMERA.fx_px
    y = (np.arange(CAMERA.height) - CAMERA.cy_px) / CAMERA.fy_px
    return offset_m / (normal[0] * x + normal[1] * y[:, None] + normal[2])


def _room() -> np.ndarray:
    """A floor, a wall and a box in front of both."""
    depth = np.minimum(_plane((0, 1, 1e-6), 1.2), _plane((0.1, 0, 1), 3.0))
    depth[_plane((0, 1, 1e-6), 1.2) < 0] = _plane((0.1, 0, 1), 3.0)[_plane((0, 1, 1e-6), 1.2) < 0]
    depth[12:24, 16:30] = 1.5
    return depth


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_from_the_photos_camera_there_is_no_gap_wherever_the_mesh_is_cut(scale: int) -> None:
    depth = _room()
    mesh = photo_mesh(depth, np.where(depth == 1.5, 1, 0), CAMERA)
    camera = CAMERA.resized(CAMERA.width * scale, CAMERA.height * scale)
    seen = rasterize(torch.from_numpy(mesh.vertices_m.astype(np.float32)), torch.from_numpy(mesh.faces), camera)
    assert bool((seen.face >= 0).all())
    if scale == 1:
        np.testing.assert_allclose(seen.depth_m.numpy(), depth, rtol=0.02)
        assert np.array_equal(mesh.face_segment[seen.face.numpy()], np.where(depth == 1.5, 1, 0))


def test_faces_turn_to_the_camera_and_do_not_bridge_a_jump() -> None:
    depth = _room()
    mesh = photo_mesh(depth, np.zeros(depth.shape, np.int64), CAMERA)
    a, b, c = (mesh.vertices_m[mesh.faces[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * a).sum(axis=1) < 0).all()
    spans = np.stack((a, b, c))[..., 2]
    assert np.ptp(spans, axis=0).max() < 0.4


def test_a_flat_wall_takes_few_faces_and_stays_flat() -> None:
    depth = _plane((0.2, 0.1, 1.0), 2.0)
    mesh = photo_mesh(depth, np.zeros(depth.shape, np.int64), CAMERA)
    assert len(mesh.faces) < depth.size / 3
    np.testing.assert_allclose(mesh.vertices_m @ np.array([0.2, 0.1, 1.0]), 2.0, atol=1e-3)


def test_open_pixels_and_pixels_without_a_segment_are_left_open() -> None:
    depth = _plane((0, 0, 1), 2.0)
    segment = np.zeros(depth.shape, np.int64)
    depth[:5], segment[:, :7] = np.inf, -1
    mesh = photo_mesh(depth, segment, CAMERA)
    seen = rasterize(torch.from_numpy(mesh.vertices_m), torch.from_numpy(mesh.faces), CAMERA)
    assert np.array_equal(seen.face.numpy() >= 0, np.isfinite(depth) & (segment >= 0))
    assert len(photo_mesh(np.full((36, 48), np.inf), segment, CAMERA).faces) == 0


def test_a_ramp_becomes_a_step_where_the_colours_change_and_a_slope_stays() -> None:
    row = np.interp(np.arange(60), [24, 32], [1.5, 3.0])
    depth = np.tile(row, (40, 1)).astype(np.float32)
    guide = np.zeros((40, 60, 3), np.float32)
    guide[:, 30:] = 0.8
    sharp = sharpened(depth, guide)
    assert (sharp[:, :30] < 1.8).all()
    assert (sharp[:, 30:] > 2.6).all()
    slope = np.tile(np.linspace(1.5, 3.0, 60, dtype=np.float32), (40, 1))
    np.testing.assert_array_equal(sharpened(slope, guide), slope)


def test_what_hangs_between_two_surfaces_goes_to_the_nearer_one() -> None:
    depth = np.full((30, 40), 3.0, np.float32)
    depth[:, :20] = 1.0
    depth[10:14, 20:22] = 1.3
    done = without_flakes(depth)
    assert set(np.unique(np.round(done, 3)).tolist()) == {1.0, 3.0}
    np.testing.assert_array_equal(done[10:14, 20], np.ones(4, np.float32))
    assert joined(1 / done, axis=1).sum() == 30 * 38  # one cut a row


def test_nothing_of_the_guess_comes_before_what_the_photo_shows() -> None:
    """A ragged wall around the visible one, and one well behind it: only the latter stays, and the rim moves behind."""
    generator = np.random.default_rng(0)
    depth = np.full((36, 48), 2.0)
    sight = Sight(CAMERA, depth, np.zeros(depth.shape, np.int64))
    i, j = np.meshgrid(np.arange(20), np.arange(20), indexing="ij")
    ragged = np.stack((i * 0.05 - 0.5, j * 0.05 - 0.5, 2 + generator.normal(0, 0.015, i.shape)), axis=-1).reshape(-1, 3)
    behind = ragged + np.array([0, 0, 0.8])
    corner = (i[:-1, :-1] * 20 + j[:-1, :-1]).ravel()
    faces = np.concatenate(
        (np.stack((corner, corner + 1, corner + 20), 1), np.stack((corner + 1, corner + 21, corner + 20), 1))
    )
    vertices = np.concatenate((ragged, behind))
    both = np.concatenate((faces, faces + 400))
    owner = np.repeat([0, 1], 400)
    moved, stays = behind_photo(vertices, both, owner, sight, 0.03)
    assert not stays[: len(faces)].any()
    assert stays[len(faces) :].all()
    hidden = in_front(torch.from_numpy(moved), torch.from_numpy(both[stays]), CAMERA, torch.from_numpy(depth))
    assert not bool(hidden.any())
