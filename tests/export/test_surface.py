"""Shapes known by formula come back from their unsigned field as one surface, at its place."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from panoptic3d.export.free_space import _mended, find_free_space, neighbour_steps
from panoptic3d.export.shell import _lowest_of_group
from panoptic3d.export.surface import Surface, _most_voted, extract_surface
from tests.export.shapes import SIZE, grid_points, make_shape, points_of_mesh, points_on

_EYE = (SIZE / 2, SIZE / 2, -30.0)


_SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
_SAMPLING_VOX = 0.1  # the samples of the mesh lie up to 0.2 voxels apart


def _extracted(distance: np.ndarray, label: np.ndarray | None = None, is_known: np.ndarray | None = None) -> Surface:
    field = torch.from_numpy(distance.astype(np.float32)).clamp(max=3)
    labels = torch.ones_like(field) if label is None else torch.from_numpy(label)
    labels = torch.where(field < 1, labels, 0)
    known = None if is_known is None else torch.from_numpy(is_known)
    return extract_surface(field, labels.to(torch.uint8), labels.to(torch.int32), _EYE, known)


def _noisy(distance: np.ndarray, seed: int, deviation: float = 0.15) -> np.ndarray:
    """As a network errs, but worse: independently at each point."""
    return np.abs(distance + np.random.default_rng(seed).normal(0, deviation, distance.shape))


def _faces_per_edge(surface: Surface) -> torch.Tensor:
    faces = surface.mesh.faces
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])).sort(dim=1).values
    return edges.unique(dim=0, return_counts=True)[1]


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("kind", ["sphere", "box", "sofa", "plate"])
def test_closed_shapes_come_back_closed_single_and_within_half_a_voxel(kind: str, seed: int) -> None:
    shape = make_shape(kind, seed)
    surface = _extracted(np.abs(shape(grid_points())))
    vertices, faces = surface.mesh.vertices.double().numpy(), surface.mesh.faces.numpy()
    assert (_faces_per_edge(surface) % 2 == 0).all()  # no border
    on_mesh, on_shape = points_of_mesh(vertices, faces), points_on(shape)
    assert np.abs(shape(on_mesh)).max() <= 0.5
    gap, _ = cKDTree(on_mesh).query(on_shape)
    assert gap.max() <= 0.5 + _SAMPLING_VOX
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area < 1.08 * _true_area(kind)  # a double shell would have twice of it


def _true_area(kind: str) -> float:
    if kind == "sphere":
        return 4 * np.pi * 11.3**2
    if kind == "box":
        return 8 * (9 * 6.5 + 6.5 * 7.2 + 9 * 7.2)
    if kind == "plate":
        return 8 * (11 * 0.5 + 0.5 * 9 + 11 * 9)
    return 2 * (16 * 6 + 8 * 10) + 22 * 64


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("kind", ["sphere", "box", "sofa", "plate"])
def test_noise_makes_surfaces_rough_and_no_holes(kind: str, seed: int) -> None:
    shape = make_shape(kind, seed)
    surface = _extracted(_noisy(np.abs(shape(grid_points())), seed))
    vertices, faces = surface.mesh.vertices.double().numpy(), surface.mesh.faces.numpy()
    assert (_faces_per_edge(surface) % 2 == 0).all()
    on_mesh = points_of_mesh(vertices, faces)
    gap, _ = cKDTree(on_mesh).query(points_on(shape))
    off = np.abs(shape(on_mesh))
    assert np.quantile(off, 0.99) <= 0.4
    assert np.quantile(gap, 0.99) <= 0.6  # the crease of the sofa is rounded
    assert off.max() <= 1


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_sheet_comes_back_as_one_sheet(seed: int) -> None:
    shape = make_shape("sheet", seed)
    surface = _extracted(np.abs(shape(grid_points())))
    vertices, faces = surface.mesh.vertices.double().numpy(), surface.mesh.faces.numpy()
    on_mesh = points_of_mesh(vertices, faces)
    assert np.abs(shape(on_mesh)).max() <= 0.5
    gap, _ = cKDTree(on_mesh).query(points_on(shape))
    assert gap.max() <= 0.5 + _SAMPLING_VOX
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(22 * 18, rel=0.1)


def test_faces_of_a_closed_shape_turn_outwards_and_of_an_open_one_to_the_camera() -> None:
    surface = _extracted(np.abs(make_shape("sphere", 0)(grid_points())))
    a, b, c = surface.mesh.vertices.double()[surface.mesh.faces].unbind(1)
    assert float((a * torch.linalg.cross(b, c)).sum() / 6) == pytest.approx(4 / 3 * np.pi * 11.3**3, rel=0.02)
    wall = _extracted(np.abs(grid_points()[..., 2] - 20.3))
    a, b, c = wall.mesh.vertices[wall.mesh.faces].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] < 0).all()  # the eye is at negative z


def test_every_vertex_carries_the_label_of_its_own_shape() -> None:
    points = grid_points()
    left, right = (
        np.linalg.norm(points - [11.2, 20.1, 19.7], axis=-1) - 7,
        np.linalg.norm(points - [28.0, 19.5, 20.4], axis=-1) - 7.5,
    )
    distance = np.minimum(np.abs(left), np.abs(right))
    surface = _extracted(distance, np.where(np.abs(left) < np.abs(right), 3, 5))
    middle = surface.mesh.vertices[surface.mesh.faces].mean(dim=1)
    assert torch.equal(surface.face_instance, torch.where(middle[:, 0] < 19.3, 3, 5))
    assert torch.equal(surface.face_instance, surface.face_semantic.long())


def test_a_box_on_a_floor_keeps_its_lid_although_no_signs_can_tell_three_regions_apart() -> None:
    points = grid_points()
    beyond = np.abs(points - [19.6, 20.0, 20.3]) - [7.4, 9.83, 6.6]  # the lid at j = 10.17, the foot on the floor
    box = np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0))
    surface = _extracted(np.minimum(box, np.abs(points[..., 1] - 29.83)))
    on_mesh = points_of_mesh(surface.mesh.vertices.double().numpy(), surface.mesh.faces.numpy())
    flat = points.reshape(-1, 3)
    lid = flat[(np.abs(flat - [19.6, 10.0, 20.3]) <= [7.0, 0.5, 6.2]).all(-1)]
    lid[:, 1] = 10.17
    gap, _ = cKDTree(on_mesh).query(lid)
    assert gap.max() <= 0.5


def test_of_a_wall_in_the_open_the_side_to_the_camera_stays() -> None:
    """Free space reaches around it, so that no region tells its two sides apart."""
    points = grid_points()
    beyond = np.maximum(np.abs(points[..., :2] - 20) - 12.3, 0)
    surface = _extracted(np.linalg.norm(np.concatenate((beyond, points[..., 2:] - 20.4), axis=-1), axis=-1))
    a, b, c = surface.mesh.vertices[surface.mesh.faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    assert float(normal[:, 2].sum()) / 2 == pytest.approx(-(24.6**2), rel=0.03)
    assert float(normal.norm(dim=1).sum()) / 2 == pytest.approx(24.6**2, rel=0.03)


def test_what_lies_behind_a_wall_does_not_show_it_twice() -> None:
    """Two rooms side by side: the wall between them is one sheet."""
    points = grid_points()
    surface = _extracted(np.abs(points[..., 2] - 20.3))
    edges = _faces_per_edge(surface)
    assert int((edges == 1).sum()) == 4 * 40  # the border of one sheet: a quad an edge
    assert (surface.mesh.vertices[:, 2] - 20.3).abs().max() < 1e-3


def test_free_corners_that_hang_together() -> None:
    """Twin of the table: a flood over the edges of a cell."""
    for mask in range(256):
        corners = {c for c in range(8) if mask >> c & 1}
        for corner in corners:
            group, frontier = {corner}, {corner}
            while frontier:
                frontier = {c ^ bit for c in frontier for bit in (1, 2, 4)} & corners - group
                group |= frontier
            assert _lowest_of_group()[mask, corner] == min(group)


def test_a_distance_that_comes_near_and_arrives_nowhere_is_an_empty_mesh() -> None:
    assert len(_extracted(np.full((SIZE,) * 3, 1.2)).mesh.faces) == 0


def test_no_surface_is_an_empty_mesh_and_the_end_of_the_grid_is_a_border() -> None:
    assert _extracted(np.full((6, 7, 8), 3.0)).mesh.faces.shape == (0, 3)
    assert _extracted(np.zeros((1, 1, 1))).mesh.faces.shape == (0, 3)
    points = grid_points()
    distance = np.abs(points[..., 2] - 20.3)
    distance[points[..., 0] > 25] = 3.0  # as outside of the frustum
    surface = _extracted(distance, is_known=points[..., 0] <= 25)
    assert surface.mesh.vertices[:, 0].max() <= 26
    assert (surface.mesh.vertices[:, 2] - 20.3).abs().max() < 1e-3


def test_the_most_voted_label_is_that_of_a_full_count() -> None:
    generator = np.random.default_rng(0)
    num = 4000
    options = [generator.integers(0, 3, num) << 32 | generator.integers(0, 2, num) for _ in range(9)]
    tiny = generator.choice([0.0, 1e-9, 1e-6, 0.25, 0.5], (8, num), p=[0.6, 0.1, 0.1, 0.1, 0.1])
    weights = [np.full(num, 1e-6), *tiny]
    counts = [sum(w * (o == one) for o, w in zip(options, weights, strict=True)) for one in options]
    want = np.take_along_axis(np.stack(options), np.argmax(counts, axis=0)[None], axis=0)[0]
    np.testing.assert_array_equal(_most_voted(options, weights), want)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_left_out_of_a_field_gets_what_all_its_neighbours_allow(seed: int) -> None:
    generator = np.random.default_rng(seed)
    field = generator.choice(np.array([0.2, 1.2, 1.25, 1.3, 1.9, 2.4, 3.0], np.float32), (9, 8, 7))
    known = generator.random(field.shape) < 0.9
    known[[0, -1]] = known[:, [0, -1]] = known[:, :, [0, -1]] = False
    limit = np.full(field.shape, np.inf, np.float32)
    for at in np.argwhere(known):
        for step in neighbour_steps():
            if known[tuple(at + step)]:
                limit[tuple(at)] = min(limit[tuple(at)], field[tuple(at + step)] + np.float32(np.linalg.norm(step)))
    is_left_out = known & (field > limit + 0.75)
    assert is_left_out.any()
    np.testing.assert_array_equal(_mended(field, known), np.where(is_left_out, limit, field))


def test_distances_beyond_the_truncation_change_nothing() -> None:
    field = np.linalg.norm(np.argwhere(np.ones((24, 24, 24))) - 11.5, axis=1).reshape(24, 24, 24).astype(np.float32)
    far = np.abs(field - 6)
    spaces = [find_free_space(distance, np.array([12.0, 12.0, 0.0])) for distance in (far, np.minimum(far, 3))]
    assert far.max() > 3
    assert spaces[0] is not None
    assert spaces[1] is not None
    np.testing.assert_array_equal(spaces[0].field, spaces[1].field)
    np.testing.assert_array_equal(spaces[0].region, spaces[1].region)
