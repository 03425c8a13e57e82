"""Normals of depth maps of planes and spheres, whose normals are known."""

import pytest
import torch

from panoptic3d.geometry.normals import have_normals, normals_of
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.structures.camera import Camera

CAMERA = Camera(220.0, 230.0, 79.0, 61.0, 160, 120)


def _rays() -> torch.Tensor:
    return unproject_depth_map(torch.ones(120, 160, dtype=torch.float64), CAMERA.intrinsics)


@pytest.mark.parametrize("normal", [(0.0, 0.0, -1.0), (0.3, -0.5, -0.8), (-0.6, 0.1, -0.7)])
def test_planes_are_exact(normal: tuple[float, float, float]) -> None:
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    depth = -2.0 / (_rays() @ unit)
    found = normals_of(depth, CAMERA.intrinsics)
    assert float((found - unit).abs().max()) < 1e-10


def test_spheres_are_right_within_a_tenth_of_a_degree() -> None:
    centre, radius = torch.tensor([0.1, -0.05, 3.0], dtype=torch.float64), 2.0
    ray = torch.nn.functional.normalize(_rays(), dim=-1)
    along = ray @ centre
    inside = along.square() - centre.square().sum() + radius**2
    assert bool((inside > 0).all())  # the sphere fills the picture
    points = ray * (along - inside.sqrt())[..., None]
    found = normals_of(points[..., 2], CAMERA.intrinsics)
    truth = torch.nn.functional.normalize(points - centre, dim=-1)[1:-1, 1:-1]
    flat = (found * truth).sum(dim=-1)
    steep = (truth * ray[1:-1, 1:-1]).sum(dim=-1).abs() > 0.5
    assert float(torch.rad2deg(flat[steep].clamp(max=1).acos()).max()) < 0.1


def test_a_hole_takes_its_neighbours_normals_away() -> None:
    known = torch.ones(5, 6, dtype=torch.bool)
    known[2, 3] = False
    has = have_normals(known)
    assert has.shape == (3, 4)
    assert has.sum() == 12 - 5
