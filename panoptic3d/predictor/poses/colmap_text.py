"""A text model of COLMAP: cameras.txt, images.txt and, where it is there, points3D.txt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file
from panoptic3d.predictor.poses.posed_photos import MOST_BYTES, PosedPhoto, PoseFile, rotation_of
from panoptic3d.structures.camera import Camera

_ADVICE = "write the model again as text"
# model -> (where fx, fy, cx, cy stand among its parameters, where its distortion begins)
_MODELS = {
    "SIMPLE_PINHOLE": ((0, 0, 1, 2), 3),
    "PINHOLE": ((0, 1, 2, 3), 4),
    "SIMPLE_RADIAL": ((0, 0, 1, 2), 3),
    "RADIAL": ((0, 0, 1, 2), 3),
    "OPENCV": ((0, 1, 2, 3), 4),
    "FULL_OPENCV": ((0, 1, 2, 3), 4),
}


def is_colmap_folder(folder: Path) -> bool:
    return (folder / "images.txt").is_file() and (folder / "cameras.txt").is_file()


def read_colmap_text(folder: Path) -> PoseFile:
    """Pixel centres lie at halves there and at integers here."""
    with reading(folder / "cameras.txt", "cameras of COLMAP", advice=_ADVICE):
        cameras, is_distorted = {}, False
        for words in _lines(folder / "cameras.txt"):
            cameras[words[0]], bends = _camera(words)
            is_distorted |= bends
    points = _points(folder / "points3D.txt")
    with reading(folder / "images.txt", "images of COLMAP", advice=_ADVICE):
        photos = tuple(_photos(folder / "images.txt", cameras, points))
    note = "the poses come with a lens distortion, which is not modelled; undistorted photos fit better"
    return PoseFile(photos, (note,) if is_distorted else ())


def _lines(path: Path) -> Iterator[list[str]]:
    for line in read_file(path, MOST_BYTES).decode().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split()


def _camera(words: list[str]) -> tuple[Camera, bool]:
    model, width, height = words[1], int(words[2]), int(words[3])
    if model not in _MODELS:
        raise InputError(f"a camera of model {model}, which is no pinhole camera; undistort the photos with COLMAP.")
    places, rest = _MODELS[model]
    parameters = [float(word) for word in words[4:]]
    fx, fy, cx, cy = (parameters[place] for place in places)
    return Camera(fx, fy, cx - 0.5, cy - 0.5, width, height), any(abs(value) > 1e-6 for value in parameters[rest:])


def _photos(path: Path, cameras: dict[str, Camera], points: dict[str, np.ndarray]) -> Iterator[PosedPhoto]:
    """Two lines a photo; the second one, with what was found in it, may be empty."""
    lines = [line for line in read_file(path, MOST_BYTES).decode().split("\n") if not line.startswith("#")]
    while lines and not lines[-1].strip():
        lines.pop()
    for number in range(0, len(lines), 2):
        words = lines[number].split()
        if len(words) < 10:
            raise ValueError(f"{len(words)} words where a photo has 10: {lines[number][:60]!r}")
        turn = rotation_of([float(word) for word in words[1:5]])
        shift = np.array([float(word) for word in words[5:8]])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn.T, -turn.T @ shift
        if not np.isfinite(pose).all():
            raise ValueError(f"a pose with numbers that are not finite: {lines[number][:60]!r}")
        if words[8] not in cameras:
            raise ValueError(f"a photo of camera {words[8]}, which cameras.txt does not have")
        found = lines[number + 1].split() if number + 1 < len(lines) else []
        seen = np.array([points[name] for name in found[2::3] if name in points]).reshape(-1, 3)
        yield PosedPhoto(" ".join(words[9:]), pose, cameras[words[8]], _seen(seen @ turn.T + shift, cameras[words[8]]))


def _points(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with reading(path, "points of COLMAP", advice=_ADVICE):
        return {words[0]: _point(words) for words in _lines(path)}


def _point(words: list[str]) -> np.ndarray:
    x, y, z = (float(word) for word in words[1:4])
    if not np.isfinite((x, y, z)).all():
        raise ValueError(f"the point {words[0]} with numbers that are not finite")
    return np.array((x, y, z))


def _seen(points: np.ndarray, camera: Camera) -> np.ndarray:
    points = points[points[:, 2] > 1e-6]
    u = points[:, 0] / points[:, 2] * camera.fx_px + camera.cx_px
    v = points[:, 1] / points[:, 2] * camera.fy_px + camera.cy_px
    return np.stack((u, v, points[:, 2]), axis=1)
