import torch
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.geometry.pinhole import pixel_grid, project, unproject, unproject_depth_map
from panoptic3d.structures.camera import Camera


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    width, height = draw(st.integers(1, 700)), draw(st.integers(1, 700))
    focal = st.floats(20.0, 2000.0)
    return Camera(
        fx_px=draw(focal),
        fy_px=draw(focal),
        cx_px=draw(st.floats(-0.5, 1.5)) * width,
        cy_px=draw(st.floats(-0.5, 1.5)) * height,
        width=width,
        height=height,
    )


@given(cameras(), st.integers(0, 2**31))
def test_unproject_then_project_is_the_identity(camera: Camera, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([camera.width, camera.height], dtype=torch.float64)
    pixels = torch.rand(64, 2, generator=generator, dtype=torch.float64) * size
    depth_m = torch.rand(64, generator=generator, dtype=torch.float64) * 9.9 + 0.1
    back, depth_back_m = project(unproject(pixels, depth_m, camera.intrinsics), camera.intrinsics)
    torch.testing.assert_close(back, pixels, rtol=0, atol=1e-8)
    torch.testing.assert_close(depth_back_m, depth_m, rtol=0, atol=0)


@given(cameras(), st.integers(1, 900), st.integers(1, 900), st.integers(0, 2**31))
def test_resize_commutes_with_projection(camera: Camera, width: int, height: int, seed: int) -> None:
    points = _points_in_front(seed)
    pixels, _ = project(points, camera.intrinsics)
    scale = torch.tensor([width / camera.width, height / camera.height], dtype=torch.float64)
    resized, _ = project(points, camera.resized(width, height).intrinsics)
    torch.testing.assert_close(resized, (pixels + 0.5) * scale - 0.5, rtol=1e-9, atol=1e-6)


@given(cameras(), st.integers(-50, 300), st.integers(-50, 300), st.integers(0, 2**31))
def test_crop_commutes_with_projection(camera: Camera, left: int, top: int, seed: int) -> None:
    points = _points_in_front(seed)
    pixels, _ = project(points, camera.intrinsics)
    cropped, _ = project(points, camera.cropped(left, top, 40, 30).intrinsics)
    torch.testing.assert_close(cropped, pixels - torch.tensor([left, top], dtype=torch.float64), rtol=1e-9, atol=1e-6)


@given(cameras(), st.integers(0, 2**31))
def test_flip_mirrors_the_world(camera: Camera, seed: int) -> None:
    points = _points_in_front(seed)
    mirrored_world = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    pixels, _ = project(points, camera.intrinsics)
    mirrored, _ = project(mirrored_world, camera.flipped().intrinsics)
    torch.testing.assert_close(mirrored[:, 0], camera.width - 1 - pixels[:, 0], rtol=1e-9, atol=1e-6)
    torch.testing.assert_close(mirrored[:, 1], pixels[:, 1], rtol=1e-9, atol=1e-6)


def test_resize_really_keeps_the_picture() -> None:
    """A picture that encodes its own ray directions, resampled by areas, still agrees with the resized camera."""
    camera = Camera.from_fov(60.0, 64, 48)
    rays = unproject_depth_map(torch.ones(48, 64, dtype=torch.float64), camera.intrinsics).permute(2, 0, 1)
    halved = torch.nn.functional.avg_pool2d(rays[None], 2)[0].permute(1, 2, 0)
    small = camera.resized(32, 24)
    torch.testing.assert_close(halved, unproject_depth_map(torch.ones(24, 32, dtype=torch.float64), small.intrinsics))


def test_depth_map_puts_pixel_centres_at_integers() -> None:
    camera = Camera(2.0, 4.0, 1.0, 1.0, width=3, height=2)
    points = unproject_depth_map(torch.full((1, 2, 3), 8.0), camera.intrinsics.float().expand(1, 3, 3))
    assert points[0, 1, 1].tolist() == [0.0, 0.0, 8.0]
    assert points[0, 0, 2].tolist() == [4.0, -2.0, 8.0]
    assert pixel_grid(2, 3)[1, 2].tolist() == [2.0, 1.0]


def test_empty_and_degenerate_inputs() -> None:
    camera = Camera.from_fov(60.0, 4, 3)
    pixels, depth_m = project(torch.zeros(0, 3, dtype=torch.float64), camera.intrinsics)
    assert pixels.shape == (0, 2)
    assert depth_m.shape == (0,)


def _points_in_front(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(32, 3, generator=generator, dtype=torch.float64) * 4 - 2
    points[:, 2] = points[:, 2].abs() + 0.2
    return points
