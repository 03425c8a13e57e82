"""The metres of poses that have no scale, from the depth that networks see in each photo (`--pose-scale auto`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from panoptic3d.errors import InputError
from panoptic3d.predictor.poses.posed_photos import PosedPhoto
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import DepthMap
from panoptic3d.structures.scene import PanopticScene

_STEPS_PX = 8  # of the depth map: every pixel would say the same again
_COARSE, _FINE = 121, 41
_RANGE = 3.5  # search range of the log scale around a first guess: up to a factor of 33 either way
_LEAST_SHARED = 50


@dataclass(frozen=True)
class PoseScale:
    factor: float  # metres of a unit of the poses
    median_log_error: float  # of the depths that two photos share, at that factor
    num_shared: int  # pixels that were compared


def scale_of_scenes(scenes: Sequence[PanopticScene], poses: Sequence[PosedPhoto]) -> PoseScale:
    """`found_scale` of the depth that was predicted with each scene."""
    maps = [scene.depth_map for scene in scenes]
    known = [depth_map for depth_map in maps if depth_map is not None]
    if len(known) < len(maps):
        raise InputError("--pose-scale auto compares depths, and a scene has none; predict it again, or give a number.")
    return found_scale(known, [scene.camera for scene in scenes], poses)


def found_scale(maps: Sequence[DepthMap], cameras: Sequence[Camera], poses: Sequence[PosedPhoto]) -> PoseScale:
    """One factor for all poses: where a point that one photo sees lies in another, the two depths should agree there.

    Minimises the median of |log(z / D)| over the pixels that two photos share, and over the sparse points of COLMAP.
    """
    if len(maps) < 2:
        raise InputError("--pose-scale auto needs at least two photos; give a number.")
    views = [_DepthView.of(depth_map, camera) for depth_map, camera in zip(maps, cameras, strict=True)]
    matrices = [pose.world_from_camera for pose in poses]
    centres = np.stack([matrix[:3, 3] for matrix in matrices])
    away = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    reach = float(np.median(away))
    if reach < 1e-9:  # most of them from one tripod: the others fix the scale
        reach = float(away.max())
    sparse = _of_points(views, poses)
    if reach < 1e-9:
        raise InputError("all poses are at one place, from which no scale follows; give --pose-scale 1.")
    middle = np.log(1.0 / reach)
    for width, steps in ((_RANGE, _COARSE), (0.12, _FINE), (0.012, _FINE)):
        tried = middle + np.linspace(-width, width, steps)
        errors = [_errors(views, matrices, float(np.exp(value)), sparse) for value in tried]
        costs = [np.inf if len(e) < _LEAST_SHARED else float(np.median(e)) for e in errors]
        best = int(np.argmin(costs))
        middle = float(tried[best])
    found = errors[best]
    if len(found) < _LEAST_SHARED:
        raise InputError("no two photos share enough of the room to find the scale of their poses; give a number.")
    return PoseScale(float(np.exp(middle)), float(np.median(found)), len(found))


@dataclass(frozen=True, eq=False)
class _DepthView:
    depth_m: Float64[np.ndarray, "h w"]
    focal: Float64[np.ndarray, "2"]  # of the depth map
    centre: Float64[np.ndarray, "2"]
    points_m: Float64[np.ndarray, "n 3"]  # of some of its pixels
    from_photo: Float64[np.ndarray, "2 2"]  # scale and shift
    size: tuple[int, int]  # of the photo in memory: width, height

    @classmethod
    def of(cls, depth_map: DepthMap, camera: Camera) -> "_DepthView":
        depth = depth_map.depth_m.double().cpu().numpy()
        scale, shift = np.array(depth_map.from_photo.scale), np.array(depth_map.from_photo.shift)
        focal = np.array([camera.fx_px, camera.fy_px]) * scale
        centre = np.array([camera.cx_px, camera.cy_px]) * scale + shift
        row, column = (axis.ravel() for axis in np.mgrid[: depth.shape[0] : _STEPS_PX, : depth.shape[1] : _STEPS_PX])
        z = depth[row, column]
        slopes = (np.stack((column, row), axis=1) - centre) / focal
        points = np.concatenate((slopes, np.ones((len(z), 1))), axis=1) * z[:, None]
        return cls(
            depth,
            focal,
            centre,
            points[np.isfinite(z) & (z > 0)],
            np.stack((scale, shift)),
            (camera.width, camera.height),
        )

    def seen(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depth of the points that fall on the map, and what the map says there."""
        z = points_m[:, 2]
        points_m, z = points_m[z > 0.05], z[z > 0.05]
        at = np.floor(points_m[:, :2] / z[:, None] * self.focal + self.centre + 0.5)
        is_on = ((at >= 0) & (at < np.array(self.depth_m.shape[::-1]))).all(axis=1)
        column, row = at[is_on].astype(np.int64).T
        there = self.depth_m[row, column]
        is_known = np.isfinite(there) & (there > 0)
        return z[is_on][is_known], there[is_known]


def _errors(views: Sequence[_DepthView], poses: Sequence[np.ndarray], scale: float, sparse: np.ndarray) -> np.ndarray:
    errors = [np.abs(np.log(scale) + sparse)]
    for i, one in enumerate(views):
        for j, other in enumerate(views):
            if i == j:
                continue
            there = np.linalg.inv(poses[j]) @ poses[i]
            z, depth = other.seen(one.points_m @ there[:3, :3].T + scale * there[:3, 3])
            errors.append(np.abs(np.log(z / depth)))
    return np.concatenate(errors)


def _of_points(views: Sequence[_DepthView], poses: Sequence[PosedPhoto]) -> np.ndarray:
    """log(z / D) of sparse points at scale 1."""
    found = [np.zeros(0)]
    for view, pose in zip(views, poses, strict=True):
        if len(pose.points) and pose.camera is not None:
            grown = np.array(view.size) / np.array([pose.camera.width, pose.camera.height])
            pixels = (pose.points[:, :2] + 0.5) * grown - 0.5
            at = np.floor(pixels * view.from_photo[0] + view.from_photo[1] + 0.5).astype(np.int64)
            is_on = ((at >= 0) & (at < np.array(view.depth_m.shape[::-1]))).all(axis=1)
            depth = view.depth_m[at[is_on, 1], at[is_on, 0]]
            found.append(np.log(pose.points[is_on, 2] / depth)[np.isfinite(depth) & (depth > 0)])
    return np.concatenate(found)
