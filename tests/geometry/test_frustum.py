import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from panoptic3d.geometry.frustum import bounding_box, frustum_mask
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from tests.geometry.test_pinhole import cameras


@settings(max_examples=25)
@given(
    camera=cameras(),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 10)),
    voxel_size_m=st.floats(0.05, 0.8),
    camera_index=st.tuples(st.floats(-3, 12), st.floats(-3, 12), st.floats(-6, 12)),
    near_far_m=st.tuples(st.floats(0.0, 2.0), st.floats(0.1, 8.0)),
)
def test_frustum_of_any_camera_in_any_grid_equals_brute_force(
    camera: Camera,
    shape: tuple[int, int, int],
    voxel_size_m: float,
    camera_index: tuple[float, float, float],
    near_far_m: tuple[float, float],
) -> None:
    near_m, far_m = near_far_m
    mask = frustum_mask(
        camera.intrinsics, (camera.width, camera.height), shape, voxel_size_m, camera_index, near_m, far_m
    )
    expected = np.zeros(shape, dtype=bool)
    for i, j, k in np.ndindex(*shape):
        x, y, z = ((n - o) * voxel_size_m for n, o in zip((i, j, k), camera_index, strict=True))
        if z > 0 and near_m <= z <= far_m:
            u, v = x / z * camera.fx_px + camera.cx_px, y / z * camera.fy_px + camera.cy_px
            expected[i, j, k] = -0.5 <= u <= camera.width - 0.5 and -0.5 <= v <= camera.height - 0.5
    assert (mask.numpy() == expected).all()


def test_bounding_box() -> None:
    mask = torch.zeros(5, 6, 7, dtype=torch.bool)
    assert bounding_box(mask) == ((0, 0, 0), (0, 0, 0))
    mask[1, 2, 6] = mask[4, 3, 0] = True
    assert bounding_box(mask) == ((1, 2, 0), (5, 4, 7))


def test_coarse_grid_points_are_the_centres_of_their_cells() -> None:
    grid = VoxelGrid((8, 8, 8), 0.03, (3.2, 4.1, -0.7))
    fine = torch.tensor([[4.0, 0.0, 6.0]], dtype=torch.float64)
    children = torch.stack([fine[0] + torch.tensor([a, b, c]) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    centre = grid.camera_from_index(children).mean(dim=0, keepdim=True)
    torch.testing.assert_close(grid.coarsened(2).camera_from_index(fine / 2), centre)
    matrix = grid.index_from_camera_matrix
    homogeneous = torch.cat((centre, torch.ones(1, 1, dtype=torch.float64)), dim=1)
    torch.testing.assert_close((homogeneous @ matrix.T)[:, :3], grid.index_from_camera(centre))


@pytest.mark.real
def test_frustum_of_the_camera_overlaps_the_released_mask(real_root) -> None:
    """Not 1: the released mask is half a voxel off the surfaces (docs/experiments/2026-11-21-released-frames.md)."""
    with np.load(real_root / "front3d" / "frustum_mask.npz", allow_pickle=False) as archive:
        released = torch.from_numpy(archive["mask"][::-1, ::-1].copy())
    grid, camera = FRONT3D_GRID, FRONT3D_CAMERA
    ours = frustum_mask(camera.intrinsics, (320, 240), grid.shape, grid.voxel_size_m, grid.camera_index)
    assert int((ours & released).sum()) / int((ours | released).sum()) >= 0.99
