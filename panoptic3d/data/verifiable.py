"""What `verify` reads in each layout: every file by itself, with the call that reads it."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from panoptic3d.data.arrays import Expected, read_array
from panoptic3d.data.front3d import ORIENTATION, Front3dFiles, read_frustum_mask, read_pose, read_segmap
from panoptic3d.data.matterport import (
    FILL_VOX,
    IMAGE_SIZE,
    MatterportFiles,
    read_intrinsics,
    read_matterport_segmap,
)
from panoptic3d.data.pictures import read_depth_exr, read_depth_png, read_jpeg, read_png
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.volumes import ALIGNED, read_distance, read_labels, read_weight
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

# name of the file in its layout -> its path, and a call that reads it or raises `BadFileError`
Parts = Mapping[str, tuple[Path, Callable[[], object]]]

_FRONT3D_FILE = re.compile(r"(?:rgb|depth|segmap|geometry|segmentation|weighting)_(?P<frame>\w+?)(?:\.mapped)?\.\w+")
_MATTERPORT_FILE = re.compile(
    r"(?P<panorama>\w+)_(?:i|d|segmap|geometry|segmentation|weighting)(?P<camera>\d+)_(?P<rotation>\d+)(?:\.mapped)?\.\w+"
)


def keys_of_any_file(root: DataRoot) -> list[str]:
    """Every sample that has at least one file: a sample whose photo is missing is not a sample that is not there."""
    match root.layout:
        case "front3d":
            return sorted({f"{path.parent.name}/{found['frame']}" for path, found in _matches(root, _FRONT3D_FILE)})
        case "matterport":
            frames = _matches(root, _MATTERPORT_FILE)
            return sorted({f"{p.parent.name}/{m['panorama']}_{m['camera']}_{m['rotation']}" for p, m in frames})
        case "packed":
            return root.keys()


def _matches(root: DataRoot, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in root.path.glob("*/*"):
        if (found := pattern.fullmatch(path.name)) is not None:
            yield path, found


def parts_of(root: DataRoot, key: str) -> Parts:
    match root.layout:
        case "front3d":
            return _front3d_parts(root, key)
        case "matterport":
            return _matterport_parts(root, key)
        case "packed":
            path = root.packed_file(key)
            return {"packed": (path, partial(root.read, key))}


def shared_parts(root: DataRoot) -> Parts:
    """The files that serve the whole root."""
    path = root.path / "frustum_mask.npz"
    if root.layout == "matterport" or (root.layout == "packed" and not path.exists()):
        return {}
    return {"frustum_mask": (path, partial(read_frustum_mask, path, root.shared_grid))}


def shared_mask(root: DataRoot) -> tuple[Tensor, VoxelGrid, Camera] | None:
    """The frustum mask of the whole root with the grid and camera that it should fit; None where samples have theirs."""
    parts = shared_parts(root)
    if not parts:
        return None
    grid = root.shared_grid
    return read_frustum_mask(parts["frustum_mask"][0], grid), grid, root.camera


def _front3d_parts(root: DataRoot, key: str) -> Parts:
    files = Front3dFiles(root.path, *key.split("/"))
    size, shape = (root.camera.width, root.camera.height), root.shared_grid.shape
    distance = partial(read_distance, files.geometry, shape, "float64", ORIENTATION, FAR_VOX, is_signed=False)
    labels = partial(read_labels, files.segmentation, shape, len(FRONT3D_TAXONOMY), ORIENTATION)
    parts: dict[str, tuple[Path, Callable[[], object]]] = {
        "image": (files.image, partial(read_png, files.image, size)),
        "depth": (files.depth, partial(read_depth_exr, files.depth, size)),
        "segmap": (files.segmap, partial(read_segmap, files.segmap, size)),
        "geometry": (files.geometry, distance),
        "segmentation": (files.segmentation, labels),
        "weighting": (files.weighting, partial(read_weight, files.weighting, shape, ORIENTATION)),
    }
    if files.campose.exists():
        parts["campose"] = (files.campose, partial(read_pose, files.campose))
    return parts


def _matterport_parts(root: DataRoot, key: str) -> Parts:
    files, shape = MatterportFiles(root.path, *key.split("/")), root.shared_grid.shape
    distance = partial(read_distance, files.geometry, shape, "float32", ALIGNED, FILL_VOX, is_signed=True)
    labels = partial(read_labels, files.segmentation, shape, len(MATTERPORT_TAXONOMY), ALIGNED)
    mask = partial(read_array, files.geometry, "mask", Expected(shape, ("bool",)))
    return {
        "image": (files.image, partial(read_jpeg, files.image, IMAGE_SIZE)),
        "depth": (files.depth, partial(read_depth_png, files.depth, IMAGE_SIZE)),
        "segmap": (files.segmap, partial(read_matterport_segmap, files.segmap)),
        "intrinsics": (files.intrinsics, partial(read_intrinsics, files.intrinsics)),
        "geometry": (files.geometry, distance),
        "frustum_mask": (files.geometry, mask),
        "segmentation": (files.segmentation, labels),
        "weighting": (files.weighting, partial(read_weight, files.weighting, shape, ALIGNED)),
    }
