"""The layouts that `verify` knows, each as the list of its files and how they are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from panoptic3d.data.arrays import Expected, read_array
from panoptic3d.data.front3d import (
    ORIENTATION,
    Front3dFiles,
    read_front3d_sample,
    read_frustum_mask,
    read_pose,
    read_segmap,
)
from panoptic3d.data.matterport import (
    FILL_VOX,
    IMAGE_SIZE,
    MatterportFiles,
    read_intrinsics,
    read_matterport_sample,
    read_matterport_segmap,
)
from panoptic3d.data.pictures import read_depth_exr, read_depth_png, read_jpeg, read_png
from panoptic3d.data.volumes import ALIGNED, read_distance, read_labels, read_weight
from panoptic3d.errors import InputError
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

Parts = Mapping[str, tuple[Path, Callable[[], object]]]

_FRONT3D_FILE = re.compile(r"(?:rgb|depth|segmap|geometry|segmentation|weighting)_(?P<frame>\w+?)(?:\.mapped)?\.\w+")
_MATTERPORT_FILE = re.compile(
    r"(?P<panorama>\w+)_(?:i|d|segmap|geometry|segmentation|weighting)(?P<camera>\d+)_(?P<rotation>\d+)(?:\.mapped)?\.\w+"
)


@dataclass(frozen=True)
class Front3dLayout:
    root: Path

    def keys(self) -> list[str]:
        found = ((path, _FRONT3D_FILE.fullmatch(path.name)) for path in self.root.glob("*/*"))
        return sorted({f"{path.parent.name}/{match['frame']}" for path, match in found if match})

    def read(self, key: str) -> Sample:
        return read_front3d_sample(self.root, *key.split("/"))

    def parts(self, key: str) -> Parts:
        files = Front3dFiles(self.root, *key.split("/"))
        size, shape = (FRONT3D_CAMERA.width, FRONT3D_CAMERA.height), FRONT3D_GRID.shape
        num_classes = len(FRONT3D_TAXONOMY)
        distance = partial(read_distance, files.geometry, shape, "float64", ORIENTATION, FAR_VOX, is_signed=False)
        labels = partial(read_labels, files.segmentation, shape, num_classes, ORIENTATION)
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

    def shared_parts(self) -> Parts:
        path = self.root / "frustum_mask.npz"
        return {"frustum_mask": (path, partial(read_frustum_mask, path))}

    def shared_mask(self) -> tuple[Tensor, VoxelGrid, Camera]:
        return read_frustum_mask(self.root / "frustum_mask.npz"), FRONT3D_GRID, FRONT3D_CAMERA


@dataclass(frozen=True)
class MatterportLayout:
    root: Path

    def keys(self) -> list[str]:
        found = ((path, _MATTERPORT_FILE.fullmatch(path.name)) for path in self.root.glob("*/*"))
        frames = {f"{p.parent.name}/{m['panorama']}_{m['camera']}_{m['rotation']}" for p, m in found if m}
        return sorted(frames)

    def read(self, key: str) -> Sample:
        return read_matterport_sample(self.root, *key.split("/"))

    def parts(self, key: str) -> Parts:
        files, shape = MatterportFiles(self.root, *key.split("/")), FRONT3D_GRID.shape
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

    def shared_parts(self) -> Parts:
        return {}

    def shared_mask(self) -> None:
        return None


def open_verifiable(root: Path) -> Front3dLayout | MatterportLayout:
    """The layout whose files lie there."""
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give the root of a data set.")
    for layout in (Front3dLayout(root), MatterportLayout(root)):
        if layout.keys():
            return layout
    raise InputError(f"{root} holds no samples of a layout that we know; give the folder that holds the scenes.")
