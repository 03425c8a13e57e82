"""A voxel reads the image where the camera sees its centre, at every level."""

import math
from dataclasses import replace

import pytest
import torch

from panoptic3d.models.clearview.config import LiftConfig, PixelConfig, RayConfig
from panoptic3d.models.clearview.gather import Evidence, Gather, Gathered, num_gathered
from panoptic3d.models.clearview.maps import SEMANTICS, ClassMaps, LayeredEstimate
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID

CAMERA = FRONT3D_CAMERA.resized(160, 120)
DEPTH_M = 3.0


def evidence(**changes) -> Evidence:
    """Features are the pixel's own place, depth is a wall."""
    v, u = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
    parts = {
        "grids": (FRONT3D_GRID,),
        "cameras": (CAMERA,),
        "features": torch.stack((u, v))[None],
        "probabilities": torch.full((1, 13, 120, 160), 1 / 13),
        "depth_m": torch.full((1, 120, 160), DEPTH_M),
        "log_spread": torch.zeros(1, 120, 160),
        "layout_m": torch.full((1, 120, 160), 4.0),
        "planes": torch.linspace(0, 1, 51)[None, :, None, None].expand(1, 51, 120, 160),
        "plane_spacing_m": 0.12,
    }
    return Evidence(**(parts | changes))


def at_point(x_m: float, y_m: float, z_m: float, stride: int) -> torch.Tensor:
    """The evidence of the cell that holds a point, and the cell's centre."""
    point = torch.tensor([x_m, y_m, z_m])
    grid = FRONT3D_GRID.coarsened(stride)
    cell = grid.index_from_camera(point).round().int()
    voxels = voxel_set(torch.cat((torch.zeros(1).int(), cell))[None], 1, grid.shape, stride)
    return evidence().at(voxels)[0], grid.camera_from_index(cell.float())


def test_a_voxel_reads_its_pixel_at_every_level() -> None:
    for stride in (1, 2, 4):
        read, (x, y, z) = at_point(0.4, -0.3, 2.5, stride)
        u, v = x / z * CAMERA.fx_px + CAMERA.cx_px, y / z * CAMERA.fy_px + CAMERA.cy_px
        torch.testing.assert_close(read[:2], torch.stack((u, v)), rtol=0, atol=1e-3)


def test_gaps_are_signed_and_measured_in_metres() -> None:
    before, (_, _, near_m) = at_point(0.0, 0.0, DEPTH_M - 0.05, 1)
    behind, (_, _, far_m) = at_point(0.0, 0.0, DEPTH_M + 0.05, 1)
    fine = 2 + 13
    torch.testing.assert_close(before[fine], (near_m - DEPTH_M) / 0.06, rtol=0, atol=1e-3)
    torch.testing.assert_close(behind[fine], (far_m - DEPTH_M) / 0.06, rtol=0, atol=1e-3)
    assert before[fine] < 0 < behind[fine]


def test_the_room_behind_is_measured_from_too() -> None:
    read, (_, _, z_m) = at_point(0.1, 0.0, 3.9, 1)
    torch.testing.assert_close(read[2 + 13 + 4], (z_m - 4.0) / 0.36, rtol=0, atol=1e-3)


def test_planes_are_read_between_their_depths() -> None:
    read, (_, _, z_m) = at_point(0.2, 0.1, 2.71, 1)
    torch.testing.assert_close(read[2 + 13 + 5], z_m / 0.12 / 50, rtol=0, atol=1e-3)


def test_the_classes_of_the_pixel_are_found_among_what_is_read() -> None:
    left, right = torch.zeros(13), torch.zeros(13)
    left[3], right[7] = 1.0, 1.0
    maps = torch.where(torch.arange(160) < 80, left[:, None], right[:, None])[None, :, None].expand(1, 13, 120, 160)
    own = evidence(probabilities=maps)
    cells = [FRONT3D_GRID.index_from_camera(torch.tensor([x_m, 0.2, 2.4])).round().int() for x_m in (-0.5, 0.5)]
    voxels = voxel_set(torch.tensor([[0, *cell.tolist()] for cell in cells]).int(), 1, FRONT3D_GRID.shape)
    torch.testing.assert_close(own.probabilities_of(own.at(voxels)), torch.stack((left, right)))


def test_the_number_of_channels_is_told_beforehand() -> None:
    voxels = voxel_set(torch.tensor([[0, 128, 128, 100]]).int(), 1, FRONT3D_GRID.shape)
    for layout, planes in ((True, True), (False, True), (True, False), (False, False)):
        changes = ({} if layout else {"layout_m": None}) | ({} if planes else {"planes": None})
        own = evidence(**changes)
        rays = RayConfig(has_layout=layout, has_planes=planes)
        assert own.at(voxels).shape[1] == num_gathered(2, 13, rays, PixelConfig()).everywhere


def _wall() -> LayeredEstimate:
    return LayeredEstimate(
        cameras=(CAMERA,),
        depth_m=torch.full((1, 120, 160), DEPTH_M),
        features=torch.zeros(1, 4, 120, 160),
        log_spread=torch.zeros(1, 120, 160),
        layout_m=None,
        occupancy_logits=torch.zeros(1, 51, 120, 160),
        plane_spacing_m=0.12,
    )


def _lift_of(rays: LayeredEstimate, config: LiftConfig = LiftConfig()) -> Gathered:  # noqa: B008
    return Gather(config)(rays, ClassMaps((), {SEMANTICS: torch.zeros(1, 13, 120, 160)}))


def _lifted(**config: float) -> Gathered:
    return _lift_of(_wall(), LiftConfig.model_validate(config))


def test_the_lift_asks_every_cell_in_sight_and_no_other() -> None:
    lifted = _lifted()
    assert len(lifted.voxels) == int(lifted.is_in_frustum.sum()) == 45708
    assert lifted.features.shape == (len(lifted.voxels), lifted.evidence.at(lifted.voxels).shape[1])


def test_a_lift_with_a_reach_asks_the_cells_near_the_surface_alone() -> None:
    every, near = _lifted(), _lifted(reach_m=0.3)
    z_m = FRONT3D_GRID.coarsened(4).camera_from_index(every.voxels.coords[:, 1:].float())[:, 2]
    expected = every.voxels.coords[(z_m - DEPTH_M).abs() <= 0.3]
    assert torch.equal(near.voxels.coords, expected)
    assert 0 < len(expected) == int(near.is_in_frustum.sum()) < len(every.voxels) / 5
    assert torch.equal(near.features, every.features[(z_m - DEPTH_M).abs() <= 0.3])


def test_a_lift_with_a_margin_asks_from_the_visible_surface_to_the_end_of_the_room() -> None:
    room = replace(_wall(), layout_m=torch.full((1, 120, 160), 4.0))
    every, some = _lift_of(room), _lift_of(room, LiftConfig(margin_m=0.5))
    z_m = FRONT3D_GRID.coarsened(4).camera_from_index(every.voxels.coords[:, 1:].float())[:, 2]
    is_asked = (z_m >= DEPTH_M - 0.5) & (z_m <= 4.5)
    assert torch.equal(some.voxels.coords, every.voxels.coords[is_asked])
    assert torch.equal(some.features, every.features[is_asked])
    behind = _lift_of(replace(room, layout_m=room.depth_m - 1), LiftConfig(margin_m=0.5))
    assert torch.equal(behind.voxels.coords, every.voxels.coords[(z_m - DEPTH_M).abs() <= 0.5])  # what is seen stays
    unsure = replace(room, log_spread=torch.full_like(room.depth_m, math.log(0.1)))
    wide = _lift_of(unsure, LiftConfig(margin_m=0.5, margin_spreads=2)).voxels.coords
    margin_m = 0.5 + 0.2 * DEPTH_M
    assert torch.equal(wide, every.voxels.coords[(z_m >= DEPTH_M - margin_m) & (z_m <= 4 + margin_m)])
    open_end = _lifted(margin_m=0.5).voxels.coords  # no depth of the room: nothing is too far behind
    assert torch.equal(open_end, every.voxels.coords[z_m >= DEPTH_M - 0.5])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_maps_in_half_precision_leave_pixels_and_lengths_in_float32(dtype: torch.dtype) -> None:
    """Columns near 160 and planes near 50 are whole steps apart in bfloat16, and the last plane would be passed by."""
    half = {name: value.to(dtype) for name, value in vars(_wall()).items() if isinstance(value, torch.Tensor)}
    lifted, expected = _lift_of(replace(_wall(), **half)), _lift_of(_wall())
    assert lifted.features.dtype == torch.float32
    geometry = slice(4 + 13, None)
    torch.testing.assert_close(lifted.features[:, geometry], expected.features[:, geometry], rtol=1e-6, atol=1e-6)
