"""Less noise on known shapes, and their edges stay; flat faces without noise stay where they are."""

import numpy as np
import pytest
import torch

from panoptic3d.export.smooth import smoothed
from panoptic3d.export.surface import extract_surface
from tests.export.shapes import Field, grid_points, make_shape


def _mesh(field: Field, noise: float) -> tuple[np.ndarray, np.ndarray]:
    distance = np.abs(field(grid_points()))
    distance = distance + np.random.default_rng(0).normal(0, noise, distance.shape)
    clipped = torch.from_numpy(np.clip(distance, 0, 3).astype(np.float32))
    label = torch.ones(clipped.shape, dtype=torch.uint8)
    mesh = extract_surface(clipped, label, torch.zeros(clipped.shape, dtype=torch.int32), (2.0, 2.0, 2.0)).mesh
    return mesh.vertices.double().numpy(), mesh.faces.numpy()


def _mean_angle_deg(field: Field, vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    area = np.linalg.norm(normal, axis=1)
    slope = np.stack([field(middle + e) - field(middle - e) for e in np.eye(3) * 1e-3], axis=1)
    cosine = np.abs((normal * slope).sum(axis=1)) / np.maximum(area * np.linalg.norm(slope, axis=1), 1e-12)
    return float(np.degrees(np.average(np.arccos(np.clip(cosine, 0, 1)), weights=area)))


@pytest.mark.parametrize("kind", ["sphere", "box", "sofa", "plate"])
def test_normals_under_noise_are_half_as_wrong_and_no_point_leaves_the_shape(kind: str) -> None:
    field = make_shape(kind, 0)
    vertices, faces = _mesh(field, 0.2)
    done = smoothed(vertices, faces, 1.0)
    assert _mean_angle_deg(field, done, faces) < 0.5 * _mean_angle_deg(field, vertices, faces)
    used = np.unique(faces)
    assert np.abs(field(done[used])).max() <= np.abs(field(vertices[used])).max() + 0.1


def test_without_noise_a_box_keeps_its_edges() -> None:
    field = make_shape("box", 1)
    vertices, faces = _mesh(field, 0.0)
    done = smoothed(vertices, faces, 1.0)
    used = np.unique(faces)
    assert np.abs(field(done[used])).max() < 0.2
    assert smoothed(vertices, faces[:0], 1.0) is vertices
