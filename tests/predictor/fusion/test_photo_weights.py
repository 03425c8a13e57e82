"""Photos that lie: what one photo shows and another one contradicts loses its weight, and everything else keeps it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import panoptic3d
from panoptic3d.errors import InputError
from panoptic3d.predictor.fusion.config import BetaConfig, FusionConfig
from panoptic3d.predictor.fusion.fuse import fused_scene, gathered_views
from panoptic3d.predictor.fusion.gathered import GatheredViews
from panoptic3d.predictor.fusion.photo_cells import PhotoCells, first_hit
from panoptic3d.predictor.fusion.photo_weights import disagreement, learned_beta, reweighted, weights_of
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.scene import PanopticScene
from tests.predictor.fusion.worlds import CAMERA, Box, around, perfect_scene

_BOXES = (Box((-0.9, 0.6, -0.3), (-0.3, 1.0, 0.3)), Box((0.3, 0.4, -0.4), (0.8, 1.0, 0.2)))
_MOVED = Box((-0.3, 0.3, -1.0), (0.3, 1.0, -0.5))  # stands in the first photo only
_ONCE = FusionConfig(free_weight=1.0, photo_weights="learned", beta=BetaConfig(num_steps=150, reference_quantile=0.75))


def _predicted(boxes: tuple[Box, ...], pose: Tensor) -> PanopticScene:
    """With confidences as a network has them."""
    scene, far = perfect_scene(boxes, pose), torch.full((48, 64), 9.0)
    rays = DepthMap(far, PixelMap((1.0, 1.0), (0.0, 0.0)), torch.full_like(far, -2.4))
    depth_m, _ = _seen(scene)
    rays = replace(rays, depth_m=torch.from_numpy(depth_m.reshape(48, 64)).float())
    return replace(scene, depth_map=rays, confidence=torch.where(scene.distance_vox < 1.5, 0.3, 0.0))


def _seen(scene: PanopticScene) -> tuple[np.ndarray, np.ndarray]:
    """Depth and instance of every cell; these photos have one cell a pixel."""
    rays = PhotoCells.of(CAMERA).rays(CAMERA)
    surface = (scene.distance_vox < 1).numpy()
    depth_m, index = first_hit(surface, scene.grid, np.eye(4), rays, 0.4, 6.0)
    return depth_m, np.where(np.isfinite(depth_m), scene.instance.numpy().ravel()[index], -1)


@pytest.fixture(scope="module")
def lying() -> tuple[list[PanopticScene], list[Tensor], list[Tensor]]:
    """Scenes, poses, and features: one channel for each thing, for the floor, and for nothing."""
    pose = around(4)[0]
    scenes = [_predicted((*_BOXES, _MOVED), pose), _predicted(_BOXES, pose)]
    features = [torch.eye(5)[torch.from_numpy(_seen(scene)[1]).long() + 1].view(48, 64, 5) for scene in scenes]
    return scenes, [pose, pose], features


def _num_of_moved(fused: PanopticScene, pose: Tensor) -> int:
    at = fused.grid.camera_from_index((fused.distance_vox < 1).nonzero().double())
    world = at.numpy() @ pose[:3, :3].numpy().T + pose[:3, 3].numpy()
    return int(((_MOVED.distance_m(world) < 0.06) & (world[:, 1] < 0.75)).sum())


def test_what_another_photo_contradicts_goes(lying: tuple[list[PanopticScene], list[Tensor], list[Tensor]]) -> None:
    scenes, poses, features = lying
    equal = panoptic3d.fuse(scenes, poses, _ONCE.model_copy(update={"photo_weights": "equal"}))
    fused = panoptic3d.fuse(scenes, poses, _ONCE, features)
    assert _num_of_moved(equal, poses[0]) > 100
    assert _num_of_moved(fused, poses[0]) < 0.1 * _num_of_moved(equal, poses[0])
    facts = fused.provenance["fusion"]["beta"]
    assert [sorted(one) for one in facts] == [["mean_weight", "median_beta"]] * 2
    assert facts[0]["mean_weight"] < facts[1]["mean_weight"]  # the first photo shows it


def test_beta_knows_the_pixels(lying: tuple[list[PanopticScene], list[Tensor], list[Tensor]]) -> None:
    scenes, poses, features = lying
    gathered = gathered_views(scenes, poses, _ONCE)
    beta = learned_beta(gathered, [features[place] for place in gathered.place_given], _ONCE)
    own = beta[gathered.place_given.index(0)]
    moved = _seen(scenes[0])[1].reshape(own.shape) == 3
    assert own[moved].min() > 2 * own[~moved].max()
    again = learned_beta(gathered, [features[place] for place in gathered.place_given], _ONCE)
    assert all(np.array_equal(*pair) for pair in zip(beta, again, strict=True))


def _same(one: GatheredViews, other: GatheredViews) -> bool:
    fused = [fused_scene(views, FusionConfig()) for views in (one, other)]
    names = ("distance_vox", "semantic", "instance", "confidence")
    return all(torch.equal(getattr(fused[0], name), getattr(fused[1], name)) for name in names)


def test_weights_of_one_change_nothing(lying: tuple[list[PanopticScene], list[Tensor], list[Tensor]]) -> None:
    gathered = gathered_views(*lying[:2], FusionConfig())
    ones = weights_of([np.full((48, 64), 0.37, np.float32)] * 2, BetaConfig())
    assert all((own == 1).all() for own in ones)
    assert _same(gathered, reweighted(gathered, ones, 0.5))
    assert not _same(gathered, reweighted(gathered, [ones[0], 0.01 * ones[1]], 0.5))


def test_photos_that_agree_have_no_error_and_one_photo_is_told_nothing(
    lying: tuple[list[PanopticScene], list[Tensor], list[Tensor]],
) -> None:
    scenes, poses, features = lying
    for one in disagreement(gathered_views([scenes[1], scenes[1]], poses, _ONCE), _ONCE):
        assert one.is_known.mean() > 0.3
        assert one.error.max() < 1e-3
    alone = gathered_views(scenes[:1], poses[:1], _ONCE)
    (told,) = disagreement(alone, _ONCE)
    assert not told.is_known.any()
    assert (weights_of(learned_beta(alone, features[:1], _ONCE), BetaConfig())[0] == 1).all()


def test_without_features_there_is_one_sentence(
    lying: tuple[list[PanopticScene], list[Tensor], list[Tensor]],
) -> None:
    with pytest.raises(InputError, match="trunk_features"):
        panoptic3d.fuse(*lying[:2], _ONCE)


def test_rays_meet_a_wall_where_it_stands() -> None:
    grid = VoxelGrid((40, 40, 60), 0.05, (20.0, 20.0, -2.0))
    wall = np.zeros(grid.shape, np.bool_)
    wall[:, :, 38] = True  # at z = 2 m
    camera = Camera.from_fov(20.0, width=8, height=6)
    rays = PhotoCells.of(camera).rays(camera)
    depth_m, index = first_hit(wall, grid, np.eye(4), rays, 0.4, 6.0)
    assert np.abs(depth_m - 2.0).max() <= 0.025 + 1e-9
    assert (index % 60 == 38).all()
    nothing, _ = first_hit(np.zeros_like(wall), grid, np.eye(4), rays, 0.4, 6.0)
    assert np.isinf(nothing).all()


def test_a_point_lies_in_the_cell_whose_ray_leads_to_it() -> None:
    camera = Camera.from_fov(70.0, width=320, height=240)
    cells = PhotoCells.of(camera)
    assert (cells.width, cells.height) == (80, 60)
    rays = cells.rays(camera)
    assert np.array_equal(cells.cell_of(1.7 * rays, camera), np.arange(80 * 60))
