"""The lift of features: where voxels lie, which pixel each keeps, and where maps are read."""

import pytest
import torch

from panoptic3d.models.mask_transformer.config import MaskTransformerConfig
from panoptic3d.models.mask_transformer.decision import SegmentDecision
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.surface_lift.feature_lift import place
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

HALF = FRONT3D_CAMERA.resized(160, 120)


def depth_of(value_m: float) -> torch.Tensor:
    return torch.full((120, 160), value_m)


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 2, 4, 8])
def test_exact_voxels_lie_where_their_pixel_looks(stride: int) -> None:
    """The voxel's centre projects into its pixel, and its offset is its distance behind the surface along z."""
    config = FeatureLiftConfig()
    placed = place(depth_of(2.0), HALF, FRONT3D_GRID, stride, config)
    grid = FRONT3D_GRID.coarsened(stride)
    points = grid.camera_from_index(placed.coords.double())
    num_copies = 2 * round(3 / stride) + 1
    pixel = placed.point // num_copies
    rows, columns = pixel // -(-160 // stride) * stride, pixel % -(-160 // stride) * stride
    torch.testing.assert_close(placed.offset_vox, (points[:, 2] - 2.0) / grid.voxel_size_m)
    assert placed.offset_vox.abs().max() <= round(3 / stride) + 0.5
    expected_x = (columns - HALF.cx_px) / HALF.fx_px * 2.0
    expected_y = (rows - HALF.cy_px) / HALF.fy_px * 2.0
    assert ((points[:, 0] - expected_x).abs() / grid.voxel_size_m).max() <= 0.5 + 1e-6
    assert ((points[:, 1] - expected_y).abs() / grid.voxel_size_m).max() <= 0.5 + 1e-6


def test_pixels_out_of_the_frustum_reach_nothing() -> None:
    for config in (FeatureLiftConfig(), FeatureLiftConfig(registration="released", winner="first")):
        for value in (0.0, 0.39, 6.01, -1.0, float("nan"), float("inf")):
            assert len(place(depth_of(value), HALF, FRONT3D_GRID, 1, config).coords) == 0
        depth = depth_of(0.0)
        depth[60, 80] = 3.0
        assert len(place(depth, HALF, FRONT3D_GRID, 1, config).coords) == 7


def test_the_nearest_point_wins_or_the_first() -> None:
    """Two pixels of one column of voxels: one whose surface lies deeper, which the scan meets first."""
    camera = Camera(1000.0, 1000.0, 0.5, 0.0, width=2, height=1)
    depth = torch.tensor([[2.06, 2.0]])
    first, nearest = (
        place(depth, camera, FRONT3D_GRID, 1, FeatureLiftConfig(winner=winner)) for winner in ("first", "nearest")
    )
    assert torch.equal(first.coords, nearest.coords)
    assert len(first.coords) == 9  # two surfaces, two voxels apart
    assert (first.point // 7).tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert nearest.offset_vox.abs().max() <= first.offset_vox.abs().max()
    assert (nearest.point // 7).tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0]  # surfaces at 88.35 and 90.35


def test_the_released_grid_lies_where_the_specification_says() -> None:
    """Section 2: a point on the axis at 3 m lies at index (127.109, 127.242, 120.667), rounded down."""
    depth = depth_of(0.0)
    depth[60, 80] = 3.0  # stands for pixel (160, 120), half a pixel beside the axis
    config = FeatureLiftConfig(registration="released", winner="first")
    coords = place(depth, HALF, FRONT3D_GRID, 1, config).coords
    x = 0.5 / 277.1281435 * 3 / 0.03
    assert coords[3].tolist() == [int(127.10921 + x), int(127.24169 + x), int(100 + 20.66667)]


@pytest.mark.parametrize("stride", [4, 8])
def test_maps_are_read_where_the_pixel_lies(stride: int) -> None:
    """A map that says the column of its cells' centres: exactly that of the pixel, or half a cell before it."""
    exact, released = (
        SegmentDecision(MaskTransformerConfig(sampling=kind), FRONT3D_TAXONOMY) for kind in ("exact", "released")
    )
    cells = 64 // stride
    centre = (torch.arange(cells) + 0.5) * stride / 2 - 0.5  # in pixels of the half map
    map_ = centre.expand(1, 1, cells, cells)
    inner = slice(stride, 32 - stride)
    columns = torch.arange(32.0)
    torch.testing.assert_close(
        exact._at_pixels(map_, (32, 32), stride)[0, 0, inner, inner], columns[inner].expand(32 - 2 * stride, -1)
    )
    read = released._at_pixels(map_, (32, 32), stride)[0, 0, inner, inner]
    torch.testing.assert_close(read, (columns[inner] - 0.5).expand(32 - 2 * stride, -1))
    assert released._at_pixels(torch.ones(1, 1, cells, cells), (32, 32), stride)[0, 0, 0, 0] == 0.25
    assert exact._at_pixels(torch.ones(1, 1, cells, cells), (32, 32), stride).unique().tolist() == [1.0]
