"""Depth from elsewhere between the two halves of the drive."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig, NeckConfig, PixelConfig, RayConfig, VoxelNetConfig
from panoptic3d.models.clearview.maps import SEMANTICS, VOTE_SPREAD, VOTES, ClassMaps, LayeredEstimate
from panoptic3d.models.given_depth import at_map, fitted_depth, with_given_depth
from panoptic3d.models.hints import with_hint
from panoptic3d.models.seen_floor import pixels_of_floor
from panoptic3d.models.slots import Seen
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import MEASURED_LOG_SPREAD, DepthKind, GivenDepth, KnownLength, SceneHint
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

CAMERA = Camera.from_fov(60.0, 160, 120)
NAN = float("nan")


@pytest.fixture(scope="module")
def seen() -> Seen[ClassMaps, LayeredEstimate]:
    small = VoxelNetConfig(channels_64=(8, 8, 8), channels_128=8, channels_256=8)
    config = ClearviewConfig(
        neck=NeckConfig(width=16),
        rays=RayConfig(width=8, has_stance=True),
        panoptic=PixelConfig(has_votes=True),
        voxel_net=small,
    )
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 120, 160), dtype=torch.uint8)
    with torch.inference_mode():
        found = build_clearview(config).see(image, (CAMERA,))
    height, width = found.rays.depth_m.shape[1:]
    ramp = torch.linspace(1, 2, width).expand(1, height, width)
    return replace(found, rays=replace(found.rays, depth_m=2 * ramp, layout_m=3 * ramp))


def _given(values: torch.Tensor, kind: DepthKind = "metric") -> GivenDepth:
    height, width = values.shape
    return GivenDepth(values, PixelMap.resized((160, 120), (width, height)), kind)


@pytest.mark.parametrize("seed", range(3))
def test_a_scaled_scene_is_larger_and_looks_the_same(seen: Seen, seed: int) -> None:
    factor = 1.0 + 0.3 * seed
    large = seen.scaled(factor)
    torch.testing.assert_close(large.rays.depth_m, factor * seen.rays.depth_m)
    torch.testing.assert_close(large.rays.layout_m, factor * seen.rays.layout_m)
    torch.testing.assert_close(large.rays.stance.floor_m, factor * seen.rays.stance.floor_m)
    torch.testing.assert_close(large.rays.stance.down, seen.rays.stance.down)
    torch.testing.assert_close(large.panoptic.maps[VOTES], factor * seen.panoptic.maps[VOTES])
    torch.testing.assert_close(large.panoptic.maps[VOTE_SPREAD].exp(), factor * seen.panoptic.maps[VOTE_SPREAD].exp())
    assert large.rays.plane_spacing_m == pytest.approx(factor * seen.rays.plane_spacing_m)
    assert torch.equal(large.panoptic.maps[SEMANTICS], seen.panoptic.maps[SEMANTICS])


def test_measured_pixels_are_kept_and_marked_and_the_rest_takes_their_scale(seen: Seen) -> None:
    values = seen.rays.depth_m[0] * 1.5
    values[20:30, 30:50] = NAN
    out, facts = with_given_depth(seen, _given(values))
    measured = values.isfinite()
    torch.testing.assert_close(out.rays.depth_m[0][measured], values[measured])
    torch.testing.assert_close(out.rays.depth_m[0], 1.5 * seen.rays.depth_m[0])  # also in the hole
    assert bool((out.rays.log_spread[0][measured] == MEASURED_LOG_SPREAD).all())
    assert torch.equal(out.rays.log_spread[0][~measured], seen.rays.log_spread[0][~measured])
    assert facts["scale_of_own"] == pytest.approx(1.5)
    torch.testing.assert_close(out.rays.layout_m, 1.5 * seen.rays.layout_m)
    assert bool((out.rays.layout_m >= out.rays.depth_m).all())


@pytest.mark.parametrize("kind", ["scale", "affine", "disparity"])
def test_depth_without_a_scale_takes_the_networks(seen: Seen, kind: DepthKind) -> None:
    own = seen.rays.depth_m[0]
    values = {"scale": 7 * own, "affine": 0.2 * own - 3.0, "disparity": 5 / own + 0.4}[kind]
    values[:5] = values.mean()  # a tenth of it is wrong
    fit = fitted_depth(values, own, kind)
    torch.testing.assert_close(fit.depth_m[5:], own[5:], rtol=1e-4, atol=1e-4)
    assert fit.scale > 0
    assert fit.residual < 1e-3
    out, facts = with_given_depth(seen, _given(values, kind))
    assert "scale_of_own" not in facts
    torch.testing.assert_close(out.rays.layout_m, seen.rays.layout_m.maximum(out.rays.depth_m))


def test_mirrored_flat_and_empty_depths_are_refused(seen: Seen) -> None:
    own = seen.rays.depth_m[0]
    for kind, values, said in (
        ("affine", 1 / own, "mirrored"),
        ("disparity", own, "mirrored"),
        ("affine", torch.full_like(own, 3.0), "same everywhere"),
        ("metric", torch.full_like(own, NAN), "0 measured"),
        ("metric", torch.full_like(own, 1e5), "no pixel"),
    ):
        with pytest.raises(InputError, match=said):
            fitted_depth(values, own, kind)


def test_a_pixel_is_read_where_the_photo_has_it(seen: Seen) -> None:
    """Its column and row, at three times the photo's resolution."""
    v, u = torch.meshgrid(torch.arange(360) / 3, torch.arange(480) / 3, indexing="ij")
    height, width = seen.rays.depth_m.shape[1:]
    read_u, read_v = (at_map(seen, _given(x.contiguous().float())) for x in (u, v))
    expected_u = (torch.arange(width) + 0.5) * 160 / width - 0.5
    expected_v = (torch.arange(height) + 0.5) * 120 / height - 0.5
    assert float((read_u - expected_u).abs().max()) < 0.6
    assert float((read_v - expected_v[:, None]).abs().max()) < 0.6


def test_a_known_height_puts_the_floor_of_the_stance_there(seen: Seen) -> None:
    """Whatever the depth map shows: nothing but a wall here."""
    stance = replace(seen.rays.stance, floor_m=torch.tensor([0.5]))
    wall = replace(seen, rays=replace(seen.rays, stance=stance, depth_m=torch.full_like(seen.rays.depth_m, 3.0)))
    out, facts = with_hint(wall, SceneHint(camera_height_m=1.5))
    assert facts["scale"]["factor"] == pytest.approx(3.0)
    assert facts["scale"]["by"] == "the stance"
    assert float(out.rays.stance.floor_m[0]) == pytest.approx(1.5)
    torch.testing.assert_close(out.rays.depth_m, 3 * wall.rays.depth_m)


def test_a_known_height_puts_the_floor_of_the_depth_map_there(seen: Seen) -> None:
    camera, height, width = seen.rays.cameras[0], *seen.rays.depth_m.shape[1:]
    rows = (torch.arange(height) - camera.cy_px) / camera.fy_px
    is_floor = (rows > 0.1)[:, None].expand(height, width)
    depth = torch.where(is_floor, 0.8 / rows.clamp(min=0.05)[:, None], 3.0)[None]
    logits = torch.zeros_like(seen.panoptic.maps[SEMANTICS])
    floor, wall = FRONT3D_TAXONOMY.id_of("floor"), FRONT3D_TAXONOMY.id_of("wall")
    logits[0, floor], logits[0, wall] = torch.where(is_floor, 5.0, -5.0), torch.where(is_floor, -5.0, 5.0)
    maps = {**seen.panoptic.maps, SEMANTICS: logits}
    rays = replace(seen.rays, depth_m=depth, stance=None)
    room = replace(seen, panoptic=replace(seen.panoptic, maps=maps), rays=rays)
    out, facts = with_hint(room, SceneHint(camera_height_m=1.6))
    assert facts["scale"]["own_height_m"] == pytest.approx(0.8, abs=0.01)
    torch.testing.assert_close(out.rays.depth_m, 2 * depth, rtol=0.01, atol=0.0)
    nowhere = replace(rays, depth_m=torch.full_like(depth, 3.0))  # a wall that fills the picture
    logits[0, floor] = -9
    with pytest.raises(InputError, match="no floor"):
        with_hint(replace(room, rays=nowhere), SceneHint(camera_height_m=1.6))


def test_depth_of_unknown_scale_stands_on_the_floor_of_the_stance(seen: Seen) -> None:
    """The network is right about its height above the floor, and its depth is a fifth too far."""
    camera, height, width = seen.rays.cameras[0], *seen.rays.depth_m.shape[1:]
    rows = (torch.arange(height) - camera.cy_px) / camera.fy_px
    is_floor = (rows > 0.1)[:, None].expand(height, width)
    depth = torch.where(is_floor, 0.8 / rows.clamp(min=0.05)[:, None], 3.0)
    logits = torch.zeros_like(seen.panoptic.maps[SEMANTICS])
    logits[0, FRONT3D_TAXONOMY.id_of("floor")] = torch.where(is_floor, 5.0, -5.0)
    maps = {**seen.panoptic.maps, SEMANTICS: logits}
    stance = replace(seen.rays.stance, down=torch.tensor([[0.0, 1, 0]]), floor_m=torch.tensor([0.8]))
    layout_m = 1.2 * torch.maximum(depth, torch.tensor(3.5))[None]
    rays = replace(seen.rays, depth_m=1.2 * depth[None], layout_m=layout_m, stance=stance)
    room = replace(seen, panoptic=replace(seen.panoptic, maps=maps), rays=rays)
    out, facts = with_given_depth(room, _given(5 * depth, "scale"))
    assert facts["fitted_in"] == "height of the floor"
    assert facts["scale"] == pytest.approx(0.2, rel=0.01)
    assert facts["scale_of_own"] == pytest.approx(1 / 1.2, rel=0.01)
    assert facts["floor_m"] == pytest.approx(0.8, abs=0.01)
    torch.testing.assert_close(out.rays.depth_m[0], depth, rtol=0.01, atol=0.0)
    torch.testing.assert_close(out.rays.layout_m[0][~is_floor], layout_m[0][~is_floor] / 1.2, rtol=0.01, atol=0.0)
    unknown = replace(room, rays=replace(rays, stance=None))
    out, facts = with_given_depth(unknown, _given(5 * depth, "scale"))
    assert facts["fitted_in"] == "depth"
    torch.testing.assert_close(out.rays.depth_m[0], 1.2 * depth, rtol=0.01, atol=0.0)


@pytest.mark.parametrize(
    ("lies_m", "slope", "by"),
    [(0.8, 0.0, "height of the floor"), (0.8, 0.1, "depth"), (0.4, 0.0, "depth")],
    ids=["a patch of floor", "what is not level", "the top of a bed"],
)
def test_a_patch_of_floor_too_small_for_a_plane_says_the_scale_if_it_is_level(
    seen: Seen, lies_m: float, slope: float, by: str
) -> None:
    camera, height, width = seen.rays.cameras[0], *seen.rays.depth_m.shape[1:]
    rows = ((torch.arange(height) - camera.cy_px) / camera.fy_px)[:, None].expand(height, width)
    is_patch = torch.zeros(height, width, dtype=torch.bool)
    is_patch[-8:, :18] = True
    assert 100 <= int(is_patch.sum()) < 200
    tilted = 1 + slope * torch.linspace(-1, 1, width).mul(width / 18)
    depth = torch.where(is_patch, lies_m / rows.clamp(min=0.05) * tilted, 0.5)
    logits = torch.zeros_like(seen.panoptic.maps[SEMANTICS])
    logits[0, FRONT3D_TAXONOMY.id_of("floor")] = torch.where(is_patch, 5.0, -5.0)
    stance = replace(seen.rays.stance, down=torch.tensor([[0.0, 1, 0]]), floor_m=torch.tensor([0.8]))
    room = replace(
        seen,
        panoptic=replace(seen.panoptic, maps={**seen.panoptic.maps, SEMANTICS: logits}),
        rays=replace(seen.rays, depth_m=1.1 * depth[None], stance=stance),
    )
    facts = with_given_depth(room, _given(5 * depth, "scale"))[1]
    assert facts["fitted_in"] == by
    assert facts["scale"] == pytest.approx(0.2 if by != "depth" else 0.22, rel=0.01)


def test_the_floor_is_the_lowest_plane_even_where_classes_take_a_table_for_it(seen: Seen) -> None:
    camera, height, width = seen.rays.cameras[0], *seen.rays.depth_m.shape[1:]
    rows = ((torch.arange(height) - camera.cy_px) / camera.fy_px).clamp(min=0.05)[:, None].expand(height, width)
    is_table = torch.zeros(height, width, dtype=torch.bool)
    is_table[height // 2 + 5 : height // 2 + 20, 20:40] = True
    depth = torch.where(is_table, 0.5, 1.5) / rows
    logits = torch.zeros_like(seen.panoptic.maps[SEMANTICS])
    logits[0, FRONT3D_TAXONOMY.id_of("floor")] = torch.where(is_table, 5.0, -5.0)
    maps = {**seen.panoptic.maps, SEMANTICS: logits}
    rays = replace(seen.rays, depth_m=depth[None], stance=None)
    room = replace(seen, panoptic=replace(seen.panoptic, maps=maps), rays=rays)
    assert with_hint(room, SceneHint(camera_height_m=1.5))[1]["scale"]["own_height_m"] == pytest.approx(1.5, abs=0.02)


def test_a_known_length_scales_the_scene(seen: Seen) -> None:
    """Two pixels of a wall at 3 m: by hand their distance is 3 times that of their rays at 1 m."""
    depth = torch.full_like(seen.rays.depth_m, 3.0)
    room = replace(seen, rays=replace(seen.rays, depth_m=depth, layout_m=depth))
    across = 3.0 * 100 / CAMERA.fx_px
    out, facts = with_hint(room, SceneHint(known_length=KnownLength(((20.0, 60.0), (120.0, 60.0)), 2 * across)))
    assert facts["scale"]["own_length_m"] == pytest.approx(across, rel=1e-3)
    torch.testing.assert_close(out.rays.depth_m, 2 * depth, rtol=1e-3, atol=0.0)
    for ends, said in ((((20.0, 60.0), (20.0, 60.0)), "longer"), (((20.0, 60.0), (999.0, 60.0)), "outside")):
        with pytest.raises(InputError, match=said):
            with_hint(room, SceneHint(known_length=KnownLength(ends, 1.0)))


def _over_a_floor(seen: Seen, height_m: float, is_floor: bool = True) -> tuple[Seen, torch.Tensor]:
    """The lower half shows a level floor, the upper one a wall; the given depth as large as the map."""
    height, width = seen.rays.depth_m.shape[1:]
    rows = torch.arange(height)[:, None].expand(height, width)
    camera = seen.rays.cameras[0]
    falls = (rows - camera.cy_px) / camera.fy_px
    depth_m = torch.where(falls > 0.1, height_m / falls.clamp(min=0.1), 3.0).float()
    logits = torch.zeros(1, len(FRONT3D_TAXONOMY), height, width)
    logits[0, FRONT3D_TAXONOMY.id_of("floor" if is_floor else "wall")] = (falls > 0.1) * 9.0
    logits[0, FRONT3D_TAXONOMY.id_of("wall")] += (falls <= 0.1) * 9.0
    return replace(seen, panoptic=replace(seen.panoptic, maps={**seen.panoptic.maps, SEMANTICS: logits})), depth_m


def test_the_stance_and_the_hidden_floor_follow_the_measured_one(seen: Seen) -> None:
    shown, depth_m = _over_a_floor(seen, 0.6)
    out, facts = with_given_depth(shown, _given(depth_m))
    assert facts["floor_m"] == pytest.approx(0.6, abs=0.01)
    assert float(out.rays.stance.floor_m[0]) == pytest.approx(0.6, abs=0.01)
    torch.testing.assert_close(out.rays.stance.down[0], torch.tensor([0.0, 1.0, 0.0]), atol=0.02, rtol=0)
    height = depth_m.shape[0]
    falls = (torch.arange(height) - out.rays.cameras[0].cy_px) / out.rays.cameras[0].fy_px
    lowest_m = (out.rays.layout_m[0] * falls[:, None]).amax(dim=1)
    assert bool((lowest_m < 0.62).all()), "nothing of the room lies below its floor"
    assert bool((out.rays.layout_m >= out.rays.depth_m).all())


def test_no_floor_is_believed_that_has_something_below_or_was_not_measured(seen: Seen) -> None:
    shown, depth_m = _over_a_floor(seen, 0.6)
    deeper = depth_m.clone()
    deeper[:, :40] = torch.where(depth_m[:, :40] < 3.0, depth_m[:, :40] * 1.6, 3.0)  # so a bed is called the floor
    on_bed = shown.panoptic.maps[SEMANTICS].clone()
    on_bed[:, :, :, :40] = 0.0
    bed = replace(shown, panoptic=replace(shown.panoptic, maps={**shown.panoptic.maps, SEMANTICS: on_bed}))
    holes = torch.where(pixels_of_floor(shown), NAN, depth_m)
    for scene, values in ((_over_a_floor(seen, 0.6, False)[0], depth_m), (bed, deeper), (shown, holes)):
        out, facts = with_given_depth(scene, _given(values))
        assert "floor_m" not in facts
        torch.testing.assert_close(out.rays.stance.down, scene.rays.stance.down)


def test_a_depth_that_goes_against_the_photo_is_refused_unless_it_is_not_checked(seen: Seen) -> None:
    own_m = seen.rays.depth_m[0]
    mirrored = replace(_given(own_m.flip(-1)), is_checked=True)
    with pytest.raises(InputError, match="another photo"):
        with_given_depth(seen, mirrored)
    assert with_given_depth(seen, replace(mirrored, is_checked=False))[1]["agreement"] == pytest.approx(-1, abs=0.03)
    for right in (own_m, 0.7 * own_m, own_m.clamp(max=3.0)):
        assert with_given_depth(seen, replace(_given(right), is_checked=True))[1]["agreement"] > 0.8


def test_a_wall_from_the_front_or_a_few_pixels_say_nothing_about_the_photo(seen: Seen) -> None:
    height, width = seen.rays.depth_m.shape[1:]
    wall = torch.full((height, width), 2.0) + 0.01 * torch.rand(height, width)
    few = torch.full((height, width), NAN)
    few[:3, :30] = seen.rays.depth_m[0].flip(-1)[:3, :30]
    for values in (wall, few):
        assert "agreement" not in with_given_depth(seen, replace(_given(values), is_checked=True))[1]
