"""Every role, many draws: closed, outward, plausible, in its own frame, and the same again for the same stream."""

import numpy as np
import pytest

from panoptic3d.errors import InputError
from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.furniture import ROLES, build
from panoptic3d.rooms.meshes.shapes import signed_volume_m3
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

# Least and greatest width, depth and height in metres.
_SIZES = {
    "double-bed": ((1.4, 2.0, 0.6), (2.1, 2.4, 1.4)),
    "dining-chair": ((0.38, 0.4, 0.7), (0.65, 0.65, 1.1)),
    "office-chair": ((0.5, 0.5, 0.9), (0.75, 0.75, 1.35)),
    "sofa": ((1.3, 0.75, 0.65), (3.6, 1.1, 1.0)),
    "dining-table": ((1.1, 0.75, 0.7), (2.2, 1.05, 0.8)),
    "coffee-table": ((0.6, 0.45, 0.3), (1.4, 1.0, 0.5)),
    "desk": ((1.0, 0.5, 0.7), (1.8, 0.8, 0.8)),
    "wardrobe": ((0.8, 0.5, 1.8), (2.4, 0.75, 2.4)),
    "dresser": ((0.6, 0.38, 0.7), (1.7, 0.6, 1.2)),
    "bookcase": ((0.6, 0.25, 1.3), (1.9, 0.45, 2.3)),
    "floor-lamp": ((0.3, 0.25, 1.3), (1.3, 0.6, 2.1)),
    "television": ((0.7, 0.1, 0.4), (1.4, 0.3, 0.9)),
    "cup": ((0.06, 0.06, 0.07), (0.13, 0.11, 0.12)),
}


def _drawn(role: str, draw: int) -> Model:
    return build(role, numpy_generator(draw, role))


@pytest.mark.parametrize("role", ROLES)
def test_a_model_is_closed_outward_and_in_its_frame(role: str) -> None:
    _hold_to_the_laws(role, 0)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_so_are_more_draws_of_it(role: str) -> None:
    for draw in range(1, 10):
        _hold_to_the_laws(role, draw)


def _hold_to_the_laws(role: str, draw: int) -> None:
    model = _drawn(role, draw)
    mesh = model.mesh
    assert np.isfinite(mesh.vertices_m).all()
    assert mesh.uv_m is not None
    assert np.isfinite(mesh.uv_m).all()
    low, high = mesh.vertices_m.min(axis=0), mesh.vertices_m.max(axis=0)
    assert abs(low[2]) < 1e-4
    assert np.abs(low[:2] + high[:2]).max() < 1e-3
    assert 0 < len(mesh.triangles) <= 12_000
    assert _is_closed(mesh.triangles)
    assert signed_volume_m3(mesh.vertices_m, mesh.triangles) > 0
    assert mesh.material_of.max() < len(model.materials)
    assert model.role == role
    assert FRONT3D_TAXONOMY[model.class_id].kind in ("thing", "stuff")


@pytest.mark.parametrize("role", _SIZES)
def test_sizes_are_those_of_furniture(role: str) -> None:
    least, most = _SIZES[role]
    for draw in range(2):
        size = _drawn(role, draw).size_m
        assert all(a <= s <= b for a, s, b in zip(least, size, most, strict=True)), (draw, size)


def test_the_same_stream_gives_the_same_bytes_and_another_does_not() -> None:
    for role in ("dining-chair", "nightstand"):
        first, second, other = _drawn(role, 5), _drawn(role, 5), _drawn(role, 6)
        assert first.mesh.vertices_m.tobytes() == second.mesh.vertices_m.tobytes()
        assert first.materials == second.materials
        assert first.mesh.vertices_m.tobytes() != other.mesh.vertices_m.tobytes()


def test_tops_lie_on_the_model() -> None:
    for role in ("dining-table", "desk", "nightstand", "sideboard", "kitchen-row"):
        model = _drawn(role, 1)
        (height, (x0, y0, x1, y1)), *_ = model.tops
        z = model.mesh.vertices_m[:, 2]
        assert np.abs(z - height).min() < 1e-4
        assert x0 < x1 <= model.size_m[0] / 2 + 0.05
        assert y0 < y1 <= model.size_m[1] / 2 + 0.05


def test_an_unknown_role_is_named() -> None:
    with pytest.raises(InputError, match="throne"):
        build("throne", numpy_generator(0))


def _is_closed(triangles: np.ndarray) -> bool:
    """Every directed edge has its opposite as often."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    there, back = edges[:, 0] << 32 | edges[:, 1], edges[:, 1] << 32 | edges[:, 0]
    return bool((np.sort(there) == np.sort(back)).all())
