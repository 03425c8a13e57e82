"""The scale of poses is found again from exact depths of a room of four walls."""

import numpy as np
import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.predictor.poses.posed_photos import PosedPhoto
from panoptic3d.predictor.poses.scale import found_scale
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from tests.predictor.fusion.worlds import looking_at

_CAMERA = Camera.from_fov(70.0, width=160, height=120)
_HALF = np.array([2.5, 1.3, 3.1])  # of the room


def _depth(pose: np.ndarray) -> torch.Tensor:
    """To the nearest wall, by the slab of each axis."""
    rays = unproject_depth_map(torch.ones(1, 120, 160, dtype=torch.float64), _CAMERA.intrinsics[None])[0].numpy()
    way = rays @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        reach = (np.sign(way) * _HALF - pose[:3, 3]) / way
    return torch.from_numpy(reach.min(axis=-1)).float()


def _views(num: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    places = random.uniform(-0.6, 0.6, (num, 3)) * _HALF
    return [looking_at(random.uniform(-0.9, 0.9, 3) * _HALF, place, 0.1).numpy() for place in places]


def _shrunk(pose: np.ndarray, scale: float) -> PosedPhoto:
    pose = pose.copy()
    pose[:3, 3] /= scale
    return PosedPhoto("a", pose)


@pytest.mark.parametrize(("scale", "num_on_tripod"), [(0.21, 0), (1.0, 3), (4.7, 0)])
def test_the_scale_is_found_again(scale: float, num_on_tripod: int) -> None:
    views = _views(5)
    for pose in views[:num_on_tripod]:
        pose[:3, 3] = views[0][:3, 3]
    maps = [DepthMap(_depth(pose), PixelMap((1.0, 1.0), (0.0, 0.0))) for pose in views]
    found = found_scale(maps, [_CAMERA] * 5, [_shrunk(pose, scale) for pose in views])
    assert found.factor == pytest.approx(scale, rel=0.03)
    assert found.median_log_error < 0.03


def test_sparse_points_are_enough_where_views_share_nothing() -> None:
    """A photo's own points fix the scale: their depth in the file against the depth of the photo."""
    poses = [_shrunk(pose, 2.0) for pose in _views(2)]
    maps = [DepthMap(_depth(pose), PixelMap((1.0, 1.0), (0.0, 0.0))) for pose in _views(2)]
    random = np.random.default_rng(0)
    at = np.stack((random.integers(0, 160, 4000), random.integers(0, 120, 4000)), axis=1)
    points = [np.column_stack((at, own.depth_m.numpy()[at[:, 1], at[:, 0]] / 2.0)) for own in maps]
    told = [PosedPhoto("a", p.world_from_camera, _CAMERA, own) for p, own in zip(poses, points, strict=True)]
    assert found_scale(maps, [_CAMERA] * 2, told).factor == pytest.approx(2.0, rel=0.01)


def test_poses_in_one_place_have_no_scale() -> None:
    pose = _views(1)[0]
    maps = [DepthMap(_depth(pose), PixelMap((1.0, 1.0), (0.0, 0.0)))] * 2
    with pytest.raises(InputError, match="at one place"):
        found_scale(maps, [_CAMERA] * 2, [PosedPhoto("a", pose)] * 2)
    with pytest.raises(InputError, match="at least two"):
        found_scale(maps[:1], [_CAMERA], [PosedPhoto("a", pose)])
