"""Cameras in JSON files: one for all photos, one list for many photos, or a file beside a photo (`room.json` for `room.jpg`).

A camera is `{"fov_deg": 70}`, or focal lengths and principal point in pixels with the size of the picture that they are for:
`{"fx_px": 600, "fy_px": 600, "cx_px": 320, "cy_px": 240, "width": 640, "height": 480}`, as scene.json has it. It may stand
under the key `camera`. A list for many photos is an object with the name of a photo for each camera.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.files import open_regular
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.structures.camera import Camera

_MAX_BYTES = 64_000_000
_LARGEST = 1e9  # also refuses NaN, and integers that are too large for a float
_NUMBERS = ("fx", "fy", "cx", "cy")
_ADVICE = "see docs/scenes-on-disk.md for what a camera file holds"


@dataclass(frozen=True)
class CameraPlace:
    """The cameras that a call gives for its photos. They take precedence over a file beside the photo."""

    given: GivenCamera = field(default_factory=GivenCamera)
    of_photo: Mapping[str, GivenCamera] = field(default_factory=dict)  # by the names in the file of the call

    def of(self, photo: Path) -> GivenCamera:
        if self.given != GivenCamera():
            return self.given
        for name in _names_of(photo):
            if name in self.of_photo:
                return self.of_photo[name]
        return camera_beside(photo) or GivenCamera()

    def of_nobody(self, photos: Sequence[Path]) -> list[str]:
        """The names in the file that none of these photos has."""
        known = {name for photo in photos for name in _names_of(photo)}
        return [name for name in self.of_photo if name not in known]


def _names_of(photo: Path) -> tuple[str, str, str]:
    return str(photo), photo.name, photo.stem


def read_camera_file(path: Path) -> CameraPlace:
    """`--cameras FILE`."""
    tree = _read(path)
    if (one := _camera_in(tree, path)) is not None:
        return CameraPlace(given=one)
    named = {}
    for name, camera in tree.items():
        found = _camera_in(camera, path) if isinstance(camera, dict) else None
        if found is None:
            raise InputError(f"{path} has no camera for {name!r}; {_ADVICE}.")
        named[name] = found
    if not named:
        raise InputError(f"{path} holds no camera; {_ADVICE}.")
    return CameraPlace(of_photo=named)


def camera_beside(photo: Path) -> GivenCamera | None:
    """The camera in `room.json` beside `room.jpg`. A JSON file without a camera is ignored."""
    try:
        path = photo.with_suffix(".json")
        if not path.is_file():
            return None
        tree = _read(path)
    except BadFileError:
        return None
    except (OSError, ValueError):  # an impossible file name; reading the photo reports it
        return None
    return _camera_in(tree, path)


def _read(path: Path) -> dict[str, Any]:
    with reading(path, "cameras as JSON", advice=_ADVICE), open_regular(path) as file:
        data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes")
        tree = json.loads(data)
        if not isinstance(tree, dict):
            raise ValueError("no JSON object")
        return tree


def _camera_in(tree: Mapping[str, Any], path: Path) -> GivenCamera | None:
    """None where no key of a camera is there."""
    tree = tree["camera"] if isinstance(tree.get("camera"), dict) else tree
    source = f"camera of {path.name}"
    named = {key.removesuffix("_px"): value for key, value in tree.items()}
    if any(name in named for name in _NUMBERS):
        fx, fy, cx, cy = (_number(named, name, path) for name in _NUMBERS)
        width, height = (_number(named, name, path) for name in ("width", "height"))
        return GivenCamera(camera=Camera(fx, fy, cx, cy, int(width), int(height)), source=source)
    if "fov_deg" in tree:
        return GivenCamera(fov_deg=_number(tree, "fov_deg", path), source=source)
    return None


def _number(tree: Mapping[str, Any], name: str, path: Path) -> float:
    value = tree.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise InputError(f"{path} has a camera whose {name} is {value!r:.40}; give a number: {_ADVICE}.")
    return float(value)
