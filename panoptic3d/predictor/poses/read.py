"""One reader for every kind of pose file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panoptic3d.data.arrays import Expected, read_array
from panoptic3d.data.poses import check_pose
from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file
from panoptic3d.predictor.poses.colmap_text import is_colmap_folder, read_colmap_text
from panoptic3d.predictor.poses.posed_photos import MOST_BYTES, PosedPhoto, PoseFile, rigid, rotation_of
from panoptic3d.structures.camera import Camera

_ADVICE = "see docs/fusion.md for the kinds of pose files"
_OUR_AXES = np.diag([1.0, -1.0, -1.0, 1.0])  # from x right, y up, z backward
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_CAMPOSE = "campose_"


def read_poses(place: Path) -> PoseFile:
    """`transforms.json` of nerfstudio or instant-ngp, a text model of COLMAP, a folder of `campose_NNNN.npz`, or a table with
    a line `photo tx ty tz qx qy qz qw` for each photo.
    """
    if place.is_dir():
        return _of_folder(place)
    if not place.is_file():
        raise InputError(f"--poses is {place} and nothing lies there; give a file of poses, or a folder of them.")
    with reading(place, "poses as text", advice=_ADVICE):
        text = read_file(place, MOST_BYTES).decode("utf-8-sig")
        poses = _of_json(json.loads(text)) if place.suffix.lower() == ".json" else _of_table(text)
    return _checked(place, poses)


def _of_folder(folder: Path) -> PoseFile:
    if is_colmap_folder(folder):
        return _checked(folder, read_colmap_text(folder))
    files = sorted(folder.glob(f"{_CAMPOSE}*.npz"))
    if files:
        return _checked(folder, PoseFile(tuple(_of_campose(path) for path in files)))
    if (folder / "transforms.json").is_file():
        return read_poses(folder / "transforms.json")
    for below in (folder / "sparse" / "0", folder / "0"):
        if is_colmap_folder(below):
            return read_poses(below)
    if (folder / "images.bin").is_file():
        raise InputError(
            f"{folder} is a binary model of COLMAP; write it as text first: colmap model_converter --output_type TXT."
        )
    raise InputError(
        f"{folder} holds no poses: no images.txt and cameras.txt of COLMAP, no transforms.json, no campose_NNNN.npz."
    )


def _checked(place: Path, poses: PoseFile) -> PoseFile:
    if not poses.photos:
        raise InputError(f"{place} holds no pose of any photo; {_ADVICE}.")
    names = [photo.name for photo in poses.photos]
    twice = next((name for n, name in enumerate(names) if name in names[:n]), None) if _repeats(names) else None
    if twice is not None:
        raise InputError(f"{place} has two poses of {twice}; leave one of them out.")
    return poses


def _repeats(names: list[str]) -> bool:
    return len(set(names)) < len(names)


def _of_campose(path: Path) -> PosedPhoto:
    """Pose of a released frame; its photo is `rgb_NNNN.png`. Its intrinsics are wrong (docs/conventions.md) and not read."""
    pose = read_array(path, "camera2world", Expected((4, 4), ("float64",)))
    check_pose(path, pose)
    return PosedPhoto(f"rgb_{path.stem.removeprefix(_CAMPOSE)}.png", pose)


def _of_table(text: str) -> PoseFile:
    photos = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 8:
            raise ValueError(f"{len(words)} words in line {number} where `photo tx ty tz qx qy qz qw` has 8")
        try:
            tx, ty, tz, qx, qy, qz, qw = (float(word) for word in words[-7:])
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation_of((qw, qx, qy, qz)), (tx, ty, tz)
            photos.append(PosedPhoto(" ".join(words[:-7]), rigid(pose)))
        except ValueError as error:
            raise ValueError(f"{error} in line {number}") from None
    return PoseFile(tuple(photos))


def _of_json(tree: Any) -> PoseFile:
    """Axes of OpenGL and Blender: x right, y up, z backward. Pixel centres lie at halves."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("frames"), list):
        raise ValueError("JSON without a list `frames`, which a transforms.json has")
    photos, notes = [], []
    for number, frame in enumerate(tree["frames"]):
        try:
            name = str(frame["file_path"])
            pose = rigid(np.array(frame["transform_matrix"], np.float64)) @ _OUR_AXES
            camera = _camera({**tree, **frame})
            fov_deg = None if camera is not None else _fov_deg({**tree, **frame})
        except (KeyError, TypeError, ValueError, InputError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise ValueError(f"{what} in frame {number}") from None
        photos.append(PosedPhoto(name.removeprefix("./"), pose, camera, fov_deg=fov_deg))
    frames = [frame for frame in tree["frames"] if isinstance(frame, Mapping)]
    if any(abs(float(source.get(key) or 0)) > 1e-6 for source in (tree, *frames) for key in _DISTORTION):
        notes.append("the poses come with a lens distortion, which is not modelled; undistorted photos fit better")
    if any(source.get("fl_x") is not None for source in (tree, *frames)) and any(p.camera is None for p in photos):
        notes.append("the poses have focal lengths without the size w and h that they are for, and these are not used")
    return PoseFile(tuple(photos), tuple(notes))


def _camera(facts: Mapping[str, Any]) -> Camera | None:
    width, height = facts.get("w"), facts.get("h")
    if width is None or height is None:
        return None
    width, height = int(width), int(height)
    if facts.get("fl_x") is None:
        if facts.get("camera_angle_x") is None:
            return None
        return Camera.from_fov(float(np.degrees(float(facts["camera_angle_x"]))), width, height)
    fx = float(facts["fl_x"])
    fy = float(facts.get("fl_y") or fx)
    cx, cy = float(facts.get("cx") or width / 2) - 0.5, float(facts.get("cy") or height / 2) - 0.5
    return Camera(fx, fy, cx, cy, width, height)


def _fov_deg(facts: Mapping[str, Any]) -> float | None:
    """Field of view in files without an image size, such as the NeRF scenes made in Blender."""
    if facts.get("camera_angle_x") is None:
        return None
    fov_deg = float(np.degrees(float(facts["camera_angle_x"])))
    Camera.from_fov(fov_deg, 1, 1)  # raises for an impossible field of view
    return fov_deg
