"""The released 3D-Front layout, as generated rooms have it, too (data/front3d.py reads its files)."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from panoptic3d.data.front3d import (
    ORIENTATION,
    Front3dFiles,
    list_front3d_keys,
    read_front3d_sample,
    read_frustum_mask,
    read_pose,
    read_segmap,
)
from panoptic3d.data.layouts.base import Parts, Place
from panoptic3d.data.pictures import read_depth_exr, read_png
from panoptic3d.data.volumes import read_distance, read_labels, read_weight
from panoptic3d.structures.sample import FAR_VOX, Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_FILE = re.compile(r"(?:rgb|depth|segmap|geometry|segmentation|weighting)_(?P<frame>\w+?)(?:\.mapped)?\.\w+")


class Front3dLayout:
    taxonomy = FRONT3D_TAXONOMY

    def keys(self, place: Place) -> list[str]:
        return list_front3d_keys(place.path)

    def keys_of_any_file(self, place: Place) -> list[str]:
        return sorted({f"{path.parent.name}/{found['frame']}" for path, found in place.matches(_FILE)})

    def read(self, place: Place, key: str, has_voxels: bool) -> Sample:
        scene, frame = key.split("/")
        grid = place.shared_grid
        return read_front3d_sample(place.path, scene, frame, has_voxels=has_voxels, camera=place.camera, grid=grid)

    def files(self, place: Place, key: str) -> list[Path]:
        return Front3dFiles(place.path, *key.split("/")).existing()

    def shared_parts(self, place: Place) -> Parts:
        read = partial(read_frustum_mask, place.mask_path, place.shared_grid)
        return {"frustum_mask": (place.mask_path, read)}

    def parts(self, place: Place, key: str) -> Parts:
        files = Front3dFiles(place.path, *key.split("/"))
        size, shape = (place.camera.width, place.camera.height), place.shared_grid.shape
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


FRONT3D = Front3dLayout()
