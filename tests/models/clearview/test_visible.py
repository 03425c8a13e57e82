"""What maps say by themselves: distances to planes, where votes end, and an answer that the voxel net begins from."""

import math

import pytest
import torch

from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.models.clearview.gather import Gather, Gathered, NumGathered, VisibleEvidence
from panoptic3d.models.clearview.maps import SEMANTICS, VOTE_SPREAD, VOTES, ClassMaps, LayeredEstimate
from panoptic3d.models.clearview.seeds import Votes
from panoptic3d.models.clearview.start import StartFromMaps
from panoptic3d.models.clearview.visible import visible_surface
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

CAMERA = FRONT3D_CAMERA.resized(160, 120)
CENTRE_M = torch.tensor([0.3, 0.2, 2.6])
CHAIR = FRONT3D_TAXONOMY.id_of("chair")


def slanted(normal: tuple[float, float, float], away_m: float) -> torch.Tensor:
    """Depth of the plane `normal . p = away_m`."""
    rays = unproject_depth_map(torch.ones(120, 160), CAMERA.intrinsics.float())
    return (away_m / (rays @ torch.tensor(normal)))[None]


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (0.0, -0.28, 0.96)])
def test_the_distance_to_a_plane_is_exact_and_signed(normal: tuple[float, float, float]) -> None:
    depth_m = slanted(normal, 2.0)
    surface = visible_surface((CAMERA,), depth_m)
    points = unproject_depth_map(depth_m[0], CAMERA.intrinsics.float())[40:80, 50:110].reshape(-1, 3)
    for away_m in (-0.2, 0.0, 0.13):
        moved = points * (1 + away_m / points[:, 2:])
        pixels = moved[:, :2] / moved[:, 2:] * torch.tensor([CAMERA.fx_px, CAMERA.fy_px])
        pixels = pixels + torch.tensor([CAMERA.cx_px, CAMERA.cy_px])
        told = surface.distance_m(moved[:, 2], pixels, torch.zeros(len(moved), dtype=torch.int64))
        torch.testing.assert_close(told, moved @ torch.tensor(normal) - 2.0, rtol=0, atol=2e-3)


def test_at_a_depth_edge_the_tangent_is_that_of_the_pixels_own_side() -> None:
    depth_m = torch.where(torch.arange(160) < 80, 2.0, 4.0).expand(1, 120, 160)
    facing = visible_surface((CAMERA,), depth_m).facing
    torch.testing.assert_close(facing, torch.ones_like(facing), rtol=0, atol=1e-4)


def gathered(has_votes: bool = True) -> Gathered:
    """A wall at 3 m whose middle is a chair with its centre at `CENTRE_M`."""
    depth_m = torch.full((1, 120, 160), 3.0)
    points = unproject_depth_map(depth_m[0], CAMERA.intrinsics.float())
    labels = torch.full((120, 160), FRONT3D_TAXONOMY.id_of("wall"))
    labels[40:80, 60:110] = CHAIR
    logits = 12.0 * torch.nn.functional.one_hot(labels, 13).permute(2, 0, 1)[None].float()
    maps = {SEMANTICS: logits}
    if has_votes:
        maps |= {VOTES: (CENTRE_M - points).permute(2, 0, 1)[None], VOTE_SPREAD: torch.full((1, 120, 160), -3.0)}
    rays = LayeredEstimate(
        cameras=(CAMERA,),
        depth_m=depth_m,
        features=torch.zeros(1, 4, 120, 160),
        log_spread=torch.zeros(1, 120, 160),
        layout_m=None,
    )
    return Gather()(rays, ClassMaps((), maps), (FRONT3D_GRID,))


def test_votes_fill_the_cell_of_the_centre_and_no_other() -> None:
    lifted = gathered()
    voted = lifted.features[:, -1]
    best = int(voted.argmax())
    cell = FRONT3D_GRID.coarsened(4).index_from_camera(CENTRE_M).round().int()
    assert lifted.voxels.coords[best, 1:].tolist() == cell.tolist()
    area_m2 = 40 * 50 * (3.0 / CAMERA.fx_px) * (3.0 / CAMERA.fy_px)
    assert float(voted[best]) == pytest.approx(math.log1p(area_m2 / 0.02), rel=0.02)
    assert float(voted.sort().values[-2]) < 0.05


def test_every_voxel_hears_where_its_pixels_thing_has_its_centre() -> None:
    lifted = gathered()
    fine = voxel_set(torch.tensor([[0, 128, 130, 120], [0, 124, 125, 122]]).int(), 1, FRONT3D_GRID.shape)
    visible = lifted.evidence.visible(fine)
    assert visible.centre_vox is not None
    expected = FRONT3D_GRID.index_from_camera(CENTRE_M).expand(2, 3)
    torch.testing.assert_close(visible.centre_vox, expected, rtol=0, atol=1e-3)
    z_m = FRONT3D_GRID.camera_from_index(fine.coords[:, 1:].float())[:, 2]
    torch.testing.assert_close(visible.signed_vox, (z_m - 3.0) / 0.03, rtol=0, atol=1e-2)


def test_what_is_gathered_is_as_wide_as_was_told() -> None:
    from panoptic3d.models.clearview.config import PixelConfig, RayConfig
    from panoptic3d.models.clearview.gather import num_gathered

    rays = RayConfig(has_layout=False, has_planes=False)
    for has_votes in (True, False):
        lifted, told = gathered(has_votes), num_gathered(4, 13, rays, PixelConfig(has_votes=has_votes))
        assert lifted.features.shape[1] == told.everywhere + told.on_cells
        assert lifted.evidence.at(lifted.voxels).shape[1] == told.everywhere
    assert isinstance(told, NumGathered)


def test_before_it_has_learnt_anything_the_net_says_what_the_maps_say() -> None:
    start = StartFromMaps(6).requires_grad_(False)
    torch.nn.init.zeros_(start.said.weight)
    signed = torch.tensor([-1.5, 0.0, 0.4, 30.0])
    visible = VisibleEvidence(signed, torch.tensor([[9.0, 9.0, 9.0]]).expand(4, 3))
    own = torch.full((4,), 2.5)
    distance = start.distance(torch.zeros(4, 6), visible, own)
    torch.testing.assert_close(distance[:3], signed[:3].abs(), rtol=0, atol=0.5)
    assert float(distance[3]) == pytest.approx(2.5, abs=1e-3)
    seen = torch.full((4, 13), -7.0)
    seen[:, CHAIR] = 0.0
    centre, _, nothing = start.votes(
        torch.zeros(4, 6), visible, seen, Votes(torch.zeros(4, 3), torch.zeros(4, 2), torch.zeros(4))
    )
    torch.testing.assert_close(centre[1], torch.full((3,), 9.0), rtol=0, atol=0.5)
    assert float(nothing[1]) < -3
    assert float(centre[3].abs().max()) < 1e-6
