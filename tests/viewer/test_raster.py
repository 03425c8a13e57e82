"""The z-buffer against tracing each pixel's ray by itself."""

from collections.abc import Iterator

import pytest
import torch

from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.raster import rasterize, shade

CAMERA = Camera.from_fov(70.0, 24, 18)


def _traced(vertices: torch.Tensor, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest face and depth of every pixel by intersecting its ray with every face."""
    pixels = pixel_grid(CAMERA.height, CAMERA.width, dtype=torch.float64).view(-1, 2)
    rays = unproject(pixels, torch.ones(len(pixels), dtype=torch.float64), CAMERA.intrinsics)
    best = torch.full((len(rays),), torch.inf, dtype=torch.float64)
    face = torch.full((len(rays),), -1)
    for number, corners in enumerate(vertices.double()[faces]):
        if (corners[:, 2] <= 0.05).any():
            continue
        solved = torch.linalg.solve(corners.T, rays.T).T  # ray = weighted corners: 1 / their sum is the depth
        depth = 1 / solved.sum(dim=1)
        is_hit = (solved >= 0).all(dim=1) & (depth < best)
        best = torch.where(is_hit, depth, best)
        face = torch.where(is_hit, number, face)
    return face.view(CAMERA.height, CAMERA.width), best.view(CAMERA.height, CAMERA.width)


@pytest.fixture(params=[1, 2])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("num_threads")
def test_the_z_buffer_equals_tracing_every_ray() -> None:
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(40, 1, 3, generator=generator) * 3 - 1.5
    corners = torch.cat(
        (small + torch.rand(40, 3, 3, generator=generator), torch.rand(20, 3, 3, generator=generator) * 12 - 6)
    )
    corners[..., 2] += 2.0  # some reach behind the camera, some cover the whole picture
    vertices, faces = corners.view(-1, 3), torch.arange(180).view(60, 3)
    fragments = rasterize(vertices, faces, CAMERA)
    face, depth = _traced(vertices, faces)
    assert torch.equal(fragments.face, face)
    hit = face >= 0
    assert hit.float().mean() > 0.2
    torch.testing.assert_close(fragments.depth_m[hit].double(), depth[hit], rtol=1e-6, atol=0)


def test_an_empty_mesh_is_an_empty_picture() -> None:
    vertices, faces = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long)
    picture = shade(vertices, faces, torch.zeros(0, 3, dtype=torch.uint8), CAMERA, background=(1, 2, 3))
    assert picture.view(-1, 3).unique(dim=0).tolist() == [[1, 2, 3]]
