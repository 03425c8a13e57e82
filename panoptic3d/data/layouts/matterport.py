"""The released Matterport3D layout (data/matterport.py reads its files). Every sample has a frustum mask of its own."""

import re
from functools import partial
from pathlib import Path

from panoptic3d.data.arrays import Expected, read_array
from panoptic3d.data.layouts.base import Parts, Place
from panoptic3d.data.matterport import (
    FILL_VOX,
    IMAGE_SIZE,
    MatterportFiles,
    list_matterport_keys,
    read_intrinsics,
    read_matterport_sample,
    read_matterport_segmap,
)
from panoptic3d.data.pictures import read_depth_png, read_jpeg
from panoptic3d.data.volumes import ALIGNED, read_distance, read_labels, read_weight
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import MATTERPORT_TAXONOMY

_FILE = re.compile(
    r"(?P<panorama>\w+)_(?:i|d|segmap|geometry|segmentation|weighting)(?P<camera>\d+)_(?P<rotation>\d+)(?:\.mapped)?\.\w+"
)


class MatterportLayout:
    taxonomy = MATTERPORT_TAXONOMY

    def keys(self, place: Place) -> list[str]:
        return list_matterport_keys(place.path)

    def keys_of_any_file(self, place: Place) -> list[str]:
        frames = place.matches(_FILE)
        return sorted({f"{p.parent.name}/{m['panorama']}_{m['camera']}_{m['rotation']}" for p, m in frames})

    def read(self, place: Place, key: str, has_voxels: bool) -> Sample:
        scene, frame = key.split("/")
        return read_matterport_sample(place.path, scene, frame, has_voxels=has_voxels, grid=place.grid)

    def files(self, place: Place, key: str) -> list[Path]:
        return MatterportFiles(place.path, *key.split("/")).existing()

    def shared_parts(self, place: Place) -> Parts:
        return {}

    def parts(self, place: Place, key: str) -> Parts:
        files, shape = MatterportFiles(place.path, *key.split("/")), place.shared_grid.shape
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


MATTERPORT = MatterportLayout()
