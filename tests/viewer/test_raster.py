"""The z-buffer against tracing each pixel's ray by itself."""

import pytest
import torch

from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.structures.camera import Camera
from panoptic3d.viewer import raster
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


@pytest.mark.parametrize("pixels_at_once", [50, 1_000_000])
def test_the_z_buffer_equals_tracing_every_ray(monkeypatch: pytest.MonkeyPatch, pixels_at_once: int) -> None:
    monkeypatch.setattr(raster, "_PIXELS_AT_ONCE", pixels_at_once)
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


def test_a_face_without_an_area_is_not_drawn() -> None:
    corner = torch.tensor([[-1.0, -1.0, 2.0], [1.0, 1.0, 2.0], [0.0, 0.0, 2.0]])
    faces = torch.tensor([[0, 1, 2], [0, 0, 1], [2, 2, 2]])
    assert not bool((rasterize(corner, faces, CAMERA).face >= 0).any())


def test_faces_that_share_an_edge_leave_no_gap() -> None:
    """The middle of each fan is the centre of a pixel and its edges run through others: rounding alone would lose some."""
    camera = Camera(10.0, 10.0, 0.0, 0.0, 24, 18)
    outer = torch.tensor([[-3.0, -2.0], [25.0, -1.0], [24.0, 19.0], [-2.0, 20.0]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        middle = torch.stack([torch.randint(1, n - 1, (), generator=generator) for n in (24, 18)])
        pixels = torch.cat((outer, middle[None].double()))
        depth = torch.rand(5, dtype=torch.float64, generator=generator) + 1
        vertices = torch.cat((pixels / 10 * depth[:, None], depth[:, None]), dim=1)
        assert bool((rasterize(vertices, faces, camera).face >= 0).all())


def test_faces_far_beside_the_picture_are_not_drawn() -> None:
    far = torch.tensor([[1e21, 1e21, 1.0], [3e21, 1.1e21, 1.0], [1.2e21, 4e21, 1.0]], dtype=torch.float64)
    near_and_far = torch.tensor(
        [
            [1.4353812140002312e20, 6.43272370888525e20, 0.5406081685951666],
            [4.952954274197447e18, 8.306499122521871e18, 0.7810740310592676],
            [8.10307974051983e20, 1.2217984894694138e21, 0.1691500286776856],
        ],
        dtype=torch.float64,
    )
    for vertices in (far, near_and_far):
        for camera in (CAMERA, Camera(10.0, 10.0, 0.0, 0.0, 24, 18)):
            assert not bool((rasterize(vertices, torch.tensor([[0, 1, 2]]), camera).face >= 0).any())
