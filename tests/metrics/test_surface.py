"""Surface scores against closed forms: planes, spheres and boxes at known offsets under every preset."""

import math

import numpy as np
import pytest

from panoptic3d.metrics.surface import surface_scores
from panoptic3d.metrics.surface_points import SurfacePoints, points_of_field, sample_mesh
from panoptic3d.metrics.surface_protocol import SurfaceProtocol, built_in_surface_protocols, load_surface_protocol
from panoptic3d.structures.grid import VoxelGrid

_FEWER = {"gen3dsr": 15_000, "monosdf-replica": 15_000, "monosdf-scannet": 20_000, "depr": 2000, "icp": 4000}


def _preset(name: str, **changes) -> SurfaceProtocol:
    protocol = load_surface_protocol(name)
    return protocol.model_copy(update={"num_points": _FEWER.get(name, protocol.num_points)} | changes)


def _plane(depth_m: float, seed: int = 0, count: int = 40_000, size_m: float = 4.0) -> SurfacePoints:
    """A square across the view."""
    corners = np.array([(x, y, depth_m) for x in (0, size_m) for y in (0, size_m)])
    return sample_mesh(corners, np.array([[0, 1, 2], [1, 3, 2]]), count, seed)


def _sphere(radius_m: float, seed: int = 0, count: int = 40_000) -> SurfacePoints:
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return SurfacePoints(radius_m * normals + [0, 0, 3], normals)


def _box(half_m: tuple[float, float, float], seed: int = 0, count: int = 40_000) -> SurfacePoints:
    import trimesh

    mesh = trimesh.creation.box(extents=2 * np.array(half_m))
    return sample_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), count, seed)


_UNALIGNED = [name for name in built_in_surface_protocols() if load_surface_protocol(name).alignment == "none"]
_ALIGNED = [name for name in built_in_surface_protocols() if load_surface_protocol(name).alignment != "none"]


@pytest.mark.parametrize("name", _UNALIGNED)
def test_parallel_planes(name: str) -> None:
    """Far apart compared with the spacing of the points, the distance of planes is their offset."""
    protocol = _preset(name)
    offset = 0.2
    scores = surface_scores(_plane(3.0 + offset), _plane(3.0, seed=1), protocol)
    distance = offset**2 if protocol.distance == "squared" else offset
    expected = distance * (2 if protocol.combine == "sum" else 1)
    assert scores.accuracy == pytest.approx(distance, rel=0.03)
    assert scores.completeness == pytest.approx(distance, rel=0.03)
    assert scores.chamfer == pytest.approx(expected, rel=0.03)
    assert [a.f_score for a in scores.at] == [float(distance <= t) for t in protocol.thresholds]
    if protocol.has_normals:
        assert scores.normal_consistency == pytest.approx(1.0)


def test_twenty_centimetres_are_all_wrong_under_one_preset_and_all_right_under_another() -> None:
    pair = _plane(3.2), _plane(3.0, seed=1)
    dpa, instpifu = (surface_scores(*pair, _preset(name)) for name in ("dpa", "instpifu"))
    assert {a.threshold: a.f_score for a in dpa.at}[0.1] == 0.0
    assert {a.threshold: a.f_score for a in instpifu.at}[0.1] == 1.0


@pytest.mark.parametrize("name", _UNALIGNED)
def test_spheres_of_one_centre(name: str) -> None:
    protocol = _preset(name)
    scores = surface_scores(_sphere(1.1), _sphere(1.0, seed=1), protocol)
    distance = 0.1**2 if protocol.distance == "squared" else 0.1
    assert scores.accuracy == pytest.approx(distance, rel=0.06)
    assert scores.completeness == pytest.approx(distance, rel=0.06)


@pytest.mark.parametrize("name", _UNALIGNED)
def test_a_box_in_a_larger_one(name: str) -> None:
    """Every face of the inner box is 10 cm from its counterpart, so accuracy is 0.1 m exactly; a point of the outer one is
    farther where it lies beyond an edge, so completeness is more."""
    protocol = _preset(name)
    scores = surface_scores(_box((0.5, 0.5, 0.5)), _box((0.6, 0.6, 0.6), seed=1), protocol)
    distance = 0.1**2 if protocol.distance == "squared" else 0.1
    assert scores.accuracy == pytest.approx(distance, rel=0.06)
    assert scores.completeness is not None
    assert distance < scores.completeness < 2.2 * distance


@pytest.mark.parametrize("name", _UNALIGNED)
def test_the_same_surface_costs_the_sampling_floor(name: str) -> None:
    scores = surface_scores(_plane(3.0), _plane(3.0, seed=1), _preset(name))
    assert scores.chamfer == pytest.approx(scores.sampling_floor, rel=0.1)


def test_the_floor_of_ten_thousand_points_on_a_wall_is_two_centimetres() -> None:
    scores = surface_scores(_plane(3.0), _plane(3.0, seed=1), _preset("dpa"))
    assert scores.sampling_floor == pytest.approx(0.020, abs=0.001)


@pytest.mark.parametrize("name", _ALIGNED)
def test_an_alignment_hides_what_it_may_move(name: str) -> None:
    truth = _box((0.9, 0.4, 0.6))
    angle = math.radians(10)
    turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    other = _box((0.9, 0.4, 0.6), seed=1)
    scale = 1.3 if name == "depr" else 1.0
    moved = SurfacePoints(scale * other.points_m @ turn.T + [0.1, -0.05, 0.1], other.normals @ turn.T)
    fewer_starts = {"num_starts": 6} if name == "depr" else {}
    aligned = surface_scores(moved, truth, _preset(name, **fewer_starts))
    raw = surface_scores(moved, truth, _preset(name, alignment="none"))
    assert aligned.chamfer is not None
    assert raw.chamfer is not None
    assert aligned.chamfer < 0.4 * raw.chamfer
    assert aligned.chamfer < 2 * aligned.sampling_floor
    assert aligned.alignment != "none"


@pytest.mark.parametrize(("alignment", "scale"), [("centre", 1.0), ("box", 2.0)])
def test_boxes_are_aligned_exactly(alignment: str, scale: float) -> None:
    truth = _box((0.5, 0.3, 0.2), count=4000)
    moved = SurfacePoints(scale * truth.points_m + [5.0, 1.0, 2.0], truth.normals)
    tilted = SurfacePoints(moved.points_m * [1.0, 1.2, 1.0], moved.normals)
    protocol = _preset("dpa", alignment=alignment, num_points=1_000_000)
    assert surface_scores(moved, truth, protocol).chamfer == pytest.approx(0, abs=1e-9)
    assert surface_scores(tilted, truth, protocol).chamfer > 0


def test_no_surface_has_no_distance_and_no_precision() -> None:
    nothing = SurfacePoints(np.zeros((0, 3)), np.zeros((0, 3)))
    scores = surface_scores(nothing, _plane(3.0), _preset("dpa"))
    assert (scores.chamfer, scores.at[0].f_score) == (None, 0.0)


def test_points_of_a_field_lie_on_its_surface() -> None:
    """A tilted plane and a sphere, as unsigned distances on a grid."""
    grid = VoxelGrid((40, 40, 40), 0.05, (20.0, 20.0, 0.0))
    index = np.stack(np.meshgrid(*(np.arange(40.0),) * 3, indexing="ij"), axis=-1)
    normal = np.array([0.6, 0.0, 0.8])
    plane = np.abs((index - 19.3) @ normal)
    radius = np.abs(np.linalg.norm(index - 19.6, axis=-1) - 11.3)
    of_plane, of_sphere = (points_of_field(field.astype(np.float32), grid) for field in (plane, radius))
    inner = np.abs(of_plane.points_m / 0.05 + [20, 20, 0] - 19.5).max(axis=1) < 17
    off_plane = ((of_plane.points_m / 0.05 + [20, 20, 0] - 19.3) @ normal)[inner]
    off_sphere = np.linalg.norm(of_sphere.points_m / 0.05 + [20, 20, 0] - 19.6, axis=1) - 11.3
    assert np.quantile(np.abs(off_plane), 0.99) < 0.05
    assert np.quantile(np.abs(off_sphere), 0.95) < 0.15
    assert np.abs(of_plane.normals[inner] @ normal).mean() > 0.99


@pytest.mark.parametrize("name", built_in_surface_protocols())
def test_a_preset_bears_the_name_of_its_file(name: str) -> None:
    assert load_surface_protocol(name).name == name
