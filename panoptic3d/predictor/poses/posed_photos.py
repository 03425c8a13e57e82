"""Poses of photos in one form for all file formats, and the search for a photo's pose."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float64

from panoptic3d.errors import InputError
from panoptic3d.structures.camera import Camera

_RIGID_TOLERANCE = 1e-3
_LISTED = 3
MOST_BYTES = 200_000_000  # of a file of poses


@dataclass(frozen=True, eq=False)
class PosedPhoto:
    """Camera: x right, y down, z forward. The world is the file's own."""

    name: str  # as the file has it, perhaps with folders
    world_from_camera: Float64[np.ndarray, "4 4"]
    camera: Camera | None = None  # None if the file has no intrinsics
    # COLMAP's sparse points that this photo shows: pixel (u, v) of `camera` and depth along the axis, in the file's units.
    points: Float64[np.ndarray, "n 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    fov_deg: float | None = None  # horizontal, where the file says that and no size


@dataclass(frozen=True, eq=False)
class PoseFile:
    photos: tuple[PosedPhoto, ...]
    notes: tuple[str, ...] = ()  # what was decided, for the user

    def of(self, name: str) -> PosedPhoto | None:
        """The pose of a photo: by its whole name, then by its file name, then by its stem. None without a pose.

        `InputError` where two poses fit equally well.
        """
        wanted = PurePosixPath(name)
        rules = (
            lambda own: own == wanted,
            lambda own: own.name == wanted.name,
            lambda own: own.stem == wanted.name or own.stem == wanted.stem or own.name == wanted.stem,
        )
        for rule in rules:
            found = [photo for photo in self.photos if rule(PurePosixPath(photo.name))]
            if len(found) > 1:
                names = ", ".join(photo.name for photo in found[:_LISTED])
                raise InputError(f"the poses {names} all fit the photo {name}; give the poses distinct names.")
            if found:
                return found[0]
        return None


def matched(names: Sequence[str], poses: PoseFile) -> list[PosedPhoto]:
    """One pose for each photo, or a sentence that names the photos without."""
    found = [poses.of(name) for name in names]
    missing = [name for name, pose in zip(names, found, strict=True) if pose is None]
    if missing:
        known = ", ".join(photo.name for photo in poses.photos[:_LISTED]) or "none"
        raise InputError(
            f"{len(missing)} of {len(names)} photos have no pose ({listed(missing)}); the poses are called "
            f"{known}{' and so on' if len(poses.photos) > _LISTED else ''}: take these photos out, or name them alike."
        )
    kept = [pose for pose in found if pose is not None]
    if len({id(pose) for pose in kept}) < len(kept):
        twice = next(pose for n, pose in enumerate(kept) if any(pose is other for other in kept[:n]))
        raise InputError(f"two photos match the pose of {twice.name}; name them alike, one to one.")
    return kept


def listed(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def rigid(matrix: np.ndarray) -> Float64[np.ndarray, "4 4"]:
    """The nearest rigid transform, to undo decimal rounding; `ValueError` if the matrix is far from rigid."""
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape == (3, 4):
        matrix = np.concatenate((matrix, [[0.0, 0.0, 0.0, 1.0]]))
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"a pose of shape {'x'.join(map(str, matrix.shape))} or with numbers that are not finite")
    rotation = matrix[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE) or np.linalg.det(rotation) < 0:
        raise ValueError("a pose that is no rotation and translation")
    u, _, vt = np.linalg.svd(rotation)
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = u @ vt, matrix[:3, 3]
    return result


def rotation_of(quaternion: Sequence[float]) -> Float64[np.ndarray, "3 3"]:
    """(w, x, y, z), of any length above 0."""
    w, x, y, z = np.asarray(quaternion, np.float64)
    length = float(np.sqrt(w * w + x * x + y * y + z * z))
    if not np.isfinite(length) or abs(length - 1) > 0.01:
        raise ValueError(f"a quaternion of length {length:g}, which should be 1")
    w, x, y, z = (value / length for value in (w, x, y, z))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
