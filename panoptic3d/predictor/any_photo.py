"""Accepted types of photos and cameras, one or several. Wrong types get one sentence."""

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from panoptic3d.data.given_depths import AnyDepth
from panoptic3d.errors import InputError
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.photos import Photo, load_photo, photo_from_array, photo_from_bytes
from panoptic3d.structures.camera import Camera
from panoptic3d.teachers.teacher import DepthTeacher

AnyPhoto = Photo | str | os.PathLike[str] | bytes | np.ndarray | Tensor | Image.Image


def as_photo(photo: AnyPhoto) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray | Tensor | Image.Image):
        return photo_from_array(photo)
    if isinstance(photo, bytes | bytearray | memoryview):
        return photo_from_bytes(bytes(photo))
    if isinstance(photo, str | os.PathLike):
        return load_photo(photo)
    raise InputError(
        f"a photo is a path, the bytes of a file, a Pillow image, an array or a tensor, not {type(photo).__name__}; "
        "several photos come in a list."
    )


def are_many(photo: object) -> bool:
    return isinstance(photo, list | tuple)


def given_cameras(
    num_photos: int,
    camera: Camera | None,
    fov_deg: float | int | None,
    cameras: Sequence[Camera | None] | None,
) -> list[GivenCamera]:
    """The given camera of each photo, from one camera for all photos or from a list."""
    if cameras is None:
        return [_given(camera, fov_deg)] * num_photos
    if camera is not None or fov_deg is not None:
        raise InputError("cameras and one camera for all photos were both given; give one of them.")
    if not isinstance(cameras, list | tuple):
        raise InputError(f"cameras is a list with a Camera or None for each photo, not {type(cameras).__name__}.")
    if len(cameras) != num_photos:
        raise InputError(f"there are {num_photos} photos and {len(cameras)} cameras; give one for each, or None.")
    return [_given(one, None) for one in cameras]


def given_depths(
    num_photos: int, depth: AnyDepth | DepthTeacher | Sequence[AnyDepth | None] | None, are_several: bool
) -> Sequence[AnyDepth | DepthTeacher | None]:
    """The depth of each photo: a list for a list of photos, or one teacher for all."""
    if depth is None or isinstance(depth, DepthTeacher):
        return [depth] * num_photos
    if are_several != isinstance(depth, list | tuple):
        raise InputError("one photo has one depth, and a list of photos a list of depths with one, or None, for each.")
    depths: Sequence[AnyDepth | None] = depth if are_several else [depth]  # pyright: ignore[reportAssignmentType]
    if len(depths) != num_photos:
        raise InputError(f"there are {num_photos} photos and {len(depths)} depths; give one for each, or None.")
    return depths


def _given(camera: Camera | None, fov_deg: float | int | None) -> GivenCamera:
    if camera is not None and not isinstance(camera, Camera):
        found = type(camera).__name__
        raise InputError(f"a camera is a panoptic3d.Camera, such as Camera.from_fov(60, width, height), not {found}.")
    if fov_deg is not None and (isinstance(fov_deg, bool) or not isinstance(fov_deg, int | float)):
        raise InputError(f"a field of view is a number of degrees, not {fov_deg!r}.")
    return GivenCamera(camera=camera, fov_deg=fov_deg)
