import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from panoptic3d.export.simplify import simplified
from panoptic3d.export.surface import extract_surface, simplified_surface
from tests.export.shapes import SIZE, grid_points, make_shape, points_of_mesh, points_on


@pytest.mark.parametrize("kind", ["box", "plate"])
def test_a_fifth_of_the_faces_shows_the_same_shape_as_closed_as_before(kind: str) -> None:
    shape = make_shape(kind, 0)
    field = torch.from_numpy(np.abs(shape(grid_points())).astype(np.float32)).clamp(max=3)
    labels = torch.where(field < 1, 1, 0)
    surface = extract_surface(field, labels.to(torch.uint8), labels.int(), (SIZE / 2, SIZE / 2, -30.0))
    fewer = simplified_surface(surface, 2.0)
    faces = fewer.mesh.faces
    assert len(faces) < 0.3 * len(surface.mesh.faces)
    assert bool((fewer.face_instance == 1).all())
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])).sort(dim=1).values
    assert bool((edges.unique(dim=0, return_counts=True)[1] % 2 == 0).all())
    on_mesh = points_of_mesh(fewer.mesh.vertices.double().numpy(), faces.numpy())
    assert np.abs(shape(on_mesh)).max() <= 1.0
    gap, _ = cKDTree(on_mesh).query(points_on(shape, 50_000))
    assert gap.max() <= 1.0


@given(st.integers(0, 1000), st.integers(0, 30))
def test_faces_name_three_vertices_and_where_they_come_from(seed: int, num: int) -> None:
    random = np.random.default_rng(seed)
    faces = random.integers(0, 12, (num, 3))
    vertices, fewer, kept = simplified(random.normal(size=(12, 3)) * 2, faces, 1.0)
    assert np.isfinite(vertices).all()
    assert ((fewer >= 0) & (fewer < len(vertices))).all()
    assert all(len(set(face)) == 3 for face in fewer.tolist())
    assert len(kept) == len(fewer) <= num
