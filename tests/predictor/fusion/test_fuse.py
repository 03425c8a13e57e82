"""Perfect views with shuffled ids: what fusion must do whatever the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import panoptic3d
from panoptic3d.errors import InputError
from panoptic3d.metrics.scene_quality import scene_quality
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.structures.given_depth import MEASURED_LOG_SPREAD
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import CHAIR, FLOOR, TABLE
from tests.predictor.fusion.worlds import FLOOR_Y, GRID, Box, around, looking_at, perfect_scene, renamed

_BOXES = (
    Box((-0.9, 0.4, -0.5), (-0.4, 1.0, 0.0)),
    Box((0.3, 0.55, -0.6), (1.1, 1.0, 0.1), TABLE),
    Box((-0.3, 0.5, 0.5), (0.2, 1.0, 0.9)),
)


@pytest.fixture(scope="module")
def views() -> tuple[list[PanopticScene], list[Tensor]]:
    poses = around(4)
    return [perfect_scene(_BOXES, pose) for pose in poses], poses


def _true_ids(fused: PanopticScene, boxes: tuple[Box, ...], anchor_pose: Tensor) -> Tensor:
    """The box nearest to each surface voxel of a fused scene whose frame is that of `anchor_pose`; 0 is the floor."""
    at = (fused.distance_vox < 1).nonzero()
    world = (
        fused.grid.camera_from_index(at.double()).numpy() @ anchor_pose[:3, :3].numpy().T + anchor_pose[:3, 3].numpy()
    )
    distances = [np.abs(world[:, 1] - FLOOR_Y), *(box.distance_m(world) for box in boxes)]
    return torch.from_numpy(np.argmin(distances, axis=0))


def _anchor(fused: PanopticScene, poses: list[Tensor]) -> Tensor:
    (own,) = (n for n, view in enumerate(fused.views) if torch.allclose(view.scene_from_camera, torch.eye(4).double()))
    return poses[own]


def _agreement(fused: PanopticScene, poses: list[Tensor], boxes: tuple[Box, ...]) -> np.ndarray:
    """Rows: boxes (0 is the floor); columns: ids of the fused scene."""
    true = _true_ids(fused, boxes, _anchor(fused, poses))
    found = fused.instance[fused.distance_vox < 1].long()
    width = int(found.max()) + 1
    return torch.bincount(true * width + found, minlength=(len(boxes) + 1) * width).view(-1, width).numpy()


def test_a_thing_has_one_id_and_no_two_things_share_one(views: tuple[list[PanopticScene], list[Tensor]]) -> None:
    scenes, poses = views
    fused = panoptic3d.fuse([renamed(s, n) for n, s in enumerate(scenes)], poses)
    table = _agreement(fused, poses, _BOXES)
    assert table.shape == (4, 4)
    assert sorted(table.argmax(axis=1).tolist()) == [0, 1, 2, 3]
    assert (table.max(axis=1) > 0.93 * table.sum(axis=1)).all()
    assert sorted(s.class_name for s in fused.segments) == ["chair", "chair", "floor", "table"]


def test_without_association_every_view_has_its_own_ids(views: tuple[list[PanopticScene], list[Tensor]]) -> None:
    scenes, poses = views
    fused = panoptic3d.fuse(scenes, poses, FusionConfig(association="none", kept_above=0))
    assert len([s for s in fused.segments if s.is_thing]) > 6


def test_the_surface_stays_where_it_is(views: tuple[list[PanopticScene], list[Tensor]]) -> None:
    scenes, poses = views
    fused = panoptic3d.fuse(scenes, poses)
    anchor = _anchor(fused, poses).numpy()
    at = (fused.distance_vox < 1).nonzero()
    world = fused.grid.camera_from_index(at.double()).numpy() @ anchor[:3, :3].T + anchor[:3, 3]
    true = np.min([np.abs(world[:, 1] - FLOOR_Y), *(box.distance_m(world) for box in _BOXES)], axis=0)
    wrong_vox = np.abs(true / GRID.voxel_size_m - fused.distance_vox[fused.distance_vox < 1].numpy())
    assert np.median(wrong_vox) < 0.03
    assert np.quantile(wrong_vox, 0.95) < 0.4


def test_one_view_is_the_same_scene(views: tuple[list[PanopticScene], list[Tensor]]) -> None:
    scene = views[0][0]
    fused = panoptic3d.fuse([scene], [views[1][0]])
    low = np.round(np.array(scene.grid.camera_index) - np.array(fused.grid.camera_index)).astype(int)
    here = (fused.distance_vox < 1).nonzero()
    there = here + torch.from_numpy(low)
    assert torch.equal(there, (scene.distance_vox < 1).nonzero())
    own, of_scene = here.unbind(1), there.unbind(1)
    assert torch.allclose(fused.distance_vox[own], scene.distance_vox[of_scene], atol=1e-5)
    assert torch.equal(fused.semantic[own], scene.semantic[of_scene])
    pairs = torch.stack((fused.instance[own], scene.instance[of_scene])).unique(dim=1)
    assert pairs.shape[1] == len(scene.instance[of_scene].unique())


def test_the_order_of_views_and_the_names_of_ids_change_nothing(
    views: tuple[list[PanopticScene], list[Tensor]],
) -> None:
    scenes, poses = views
    one = panoptic3d.fuse(scenes, poses)
    order = [2, 0, 3, 1]
    other = panoptic3d.fuse([renamed(scenes[n], 7 + n) for n in order], [poses[n] for n in order])
    for name in ("distance_vox", "semantic", "instance", "known", "confidence"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for place, n in enumerate(order):
        assert torch.equal(other.views[place].scene_from_camera, one.views[n].scene_from_camera)


def test_two_chairs_that_touch_stay_two() -> None:
    boxes = (Box((-0.5, 0.4, -0.2), (0.0, 1.0, 0.3)), Box((0.0, 0.4, -0.2), (0.5, 1.0, 0.3)))
    poses = around(3)
    fused = panoptic3d.fuse([renamed(perfect_scene(boxes, pose), n) for n, pose in enumerate(poses)], poses)
    table = _agreement(fused, poses, boxes)
    assert table.shape == (3, 3)
    assert sorted(table.argmax(axis=1).tolist()) == [0, 1, 2]


@pytest.mark.slow
def test_there_may_be_150_things() -> None:
    places = [(-1.6 + 0.23 * column, -1.1 + 0.23 * row) for column in range(15) for row in range(10)]
    boxes = tuple(Box((x, 0.75, z), (x + 0.14, 1.0, z + 0.14)) for x, z in places)
    poses = [looking_at((-0.3, 1, 0.3), (-0.3, -1.6, -1.2)), looking_at((0.2, 1, 0), (0.4, -1.6, -1.4), 0.1)]
    scenes = [renamed(perfect_scene(boxes, pose), n) for n, pose in enumerate(poses)]
    fused = panoptic3d.fuse(scenes, poses)
    table = _agreement(fused, poses, boxes)
    assert table.shape == (151, 151)
    assert len(set(table[1:].argmax(axis=1).tolist())) == 150


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_noise_in_the_ids_lowers_pq_as_predicted(share: float) -> None:
    """Two equal things that swap a share p of their voxels have an IoU of (1 - p) / (1 + p)."""
    boxes = (Box((-0.7, 0.5, -0.2), (-0.3, 1.0, 0.2)), Box((0.3, 0.5, -0.2), (0.7, 1.0, 0.2)))
    poses = around(3)
    scenes = [perfect_scene(boxes, pose) for pose in poses]
    noisy = [_swapped(scene, share, seed) for seed, scene in enumerate(scenes)]
    alone = _pq_of_things(panoptic3d.fuse(noisy[:1], poses[:1]), poses[:1], boxes)
    together = _pq_of_things(panoptic3d.fuse(noisy, poses), poses, boxes)
    assert alone == pytest.approx((1 - share) / (1 + share), abs=0.04)
    assert together > alone


def _swapped(scene: PanopticScene, share: float, seed: int) -> PanopticScene:
    chance = torch.rand(scene.instance.shape, generator=torch.Generator().manual_seed(seed))
    return replace(
        scene, instance=torch.where((scene.instance > 0) & (chance < share), 3 - scene.instance, scene.instance)
    )


def _pq_of_things(fused: PanopticScene, poses: list[Tensor], boxes: tuple[Box, ...]) -> float:
    true = _true_ids(fused, boxes, _anchor(fused, poses)).numpy()
    is_surface = fused.distance_vox < 1
    classes, ids = fused.semantic[is_surface].numpy(), fused.instance[is_surface].numpy()
    true_class = np.where(true > 0, CHAIR, FLOOR)
    return scene_quality(classes, ids, true_class, true, things=[CHAIR], stuff=[FLOOR]).per_class[CHAIR].pq


def test_a_ray_of_which_the_network_is_unsure_makes_no_sure_voxel(
    views: tuple[list[PanopticScene], list[Tensor]],
) -> None:
    def confidence(log_spread: float) -> float:
        far = torch.full((48, 64), 9.0)
        depth_map = DepthMap(far, PixelMap((1.0, 1.0), (0.0, 0.0)), torch.full_like(far, log_spread))
        fused = panoptic3d.fuse([replace(views[0][0], depth_map=depth_map)], views[1][:1])
        assert fused.confidence is not None
        return float(fused.confidence.max())

    assert confidence(-5.0) == confidence(MEASURED_LOG_SPREAD) == 1
    assert confidence(MEASURED_LOG_SPREAD + 2) == pytest.approx(np.exp(-2))


def _predicted(boxes: tuple[Box, ...], pose: Tensor) -> PanopticScene:
    """With confidences as a network has them."""
    scene, far = perfect_scene(boxes, pose), torch.full((48, 64), 9.0)
    rays = DepthMap(far, PixelMap((1.0, 1.0), (0.0, 0.0)), torch.full_like(far, MEASURED_LOG_SPREAD + 1.6))
    return replace(scene, depth_map=rays, confidence=torch.where(scene.distance_vox < 1.5, 0.3, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize(("free_weight", "stays"), [(1.0, True), (4.0, False)])
def test_what_one_view_makes_up_goes_where_another_one_looks_through_it(free_weight: float, stays: bool) -> None:
    pose = around(4)[0]
    scenes = [_predicted(_BOXES, pose), _predicted(_BOXES[:2], pose)]
    config = FusionConfig(free_weight=free_weight)

    def num_above_the_floor(given: list[PanopticScene]) -> int:
        """Surface voxels of the third box."""
        fused = panoptic3d.fuse(given, [pose] * len(given), config)
        at = fused.grid.camera_from_index((fused.distance_vox < 1).nonzero().double())
        world = at.numpy() @ pose[:3, :3].numpy().T + pose[:3, 3].numpy()
        return int(((_BOXES[2].distance_m(world) < 0.06) & (world[:, 1] < 0.75)).sum())

    assert num_above_the_floor(scenes[:1]) > 20  # alone it is believed
    assert (num_above_the_floor(scenes) > 20) == stays
    assert stays or num_above_the_floor(scenes) == 0


def _far(metres: float) -> Tensor:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = metres
    return pose


@pytest.mark.parametrize(
    ("poses", "says"),
    [
        ([torch.eye(4)], "2 scenes come with 1 poses"),
        ([torch.eye(4), 2 * torch.eye(4)], "no rotation"),
        ([torch.eye(4), torch.full((4, 4), torch.nan)], "not finite|finite numbers"),
        ([torch.eye(4), torch.diag(torch.tensor([-1.0, 1, 1, 1]))], "no rotation"),
        ([torch.eye(4), _far(1e9)], "1e.09 m apart; check the scale"),
        ([torch.eye(4), _far(1e300)], "1e.300 m apart; check the scale"),
        ([torch.eye(4), _far(900.0)], "reach over .* m; check the scale"),
    ],
)
def test_poses_that_are_none_are_refused(
    poses: list[Tensor], says: str, views: tuple[list[PanopticScene], list[Tensor]]
) -> None:
    with pytest.raises(InputError, match=says):
        panoptic3d.fuse(views[0][:2], poses)
