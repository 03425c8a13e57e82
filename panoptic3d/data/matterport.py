"""The released Matterport3D layout, file by file, with what sets it apart from 3D-Front.

| quirk | what is done |
| --- | --- |
| frame `P_c_r` has files `P_<kind>c_r.<ext>` and one camera `P_intrinsics_c.npy` per c | named here |
| volumes are stored camera aligned | not turned |
| the grid of a frame follows from its camera | `released_grid` |
| the geometry file holds the mask, and True is *outside* of the frustum | inverted |
| distances are signed and -12 where nothing is known | kept signed; -12 is the fill |
| depth is a 16-bit PNG in 1/4000 m | divided |
| segmap has a third channel: ids of what lies in other rooms | `Sample.room_2d` |
| the published test list ends every line in `.mapped` | cut off (`splits.py`) |
| labels reach to a distance of 3 and beyond, stuff has instance ids in 3D | kept |
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.arrays import Expected, PathLike, read_array, read_npy
from panoptic3d.data.pictures import read_depth_png, read_jpeg
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.truth import assemble_truth
from panoptic3d.data.volumes import ALIGNED, check_classes, check_instances, read_distance, read_labels, read_weight
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid, released_grid
from panoptic3d.structures.sample import FAR_VOX, Sample, VoxelTruth
from panoptic3d.structures.taxonomy import MATTERPORT_TAXONOMY

IMAGE_SIZE = (320, 240)
FILL_VOX = -FAR_VOX
_FRAME = re.compile(r"(?P<panorama>\w+)_(?P<camera>\d+)_(?P<rotation>\d+)")
_IMAGE = re.compile(r"(?P<panorama>\w+)_i(?P<camera>\d+)_(?P<rotation>\d+)\.jpg")


@dataclass(frozen=True)
class MatterportFiles:
    """Where the files of one frame lie."""

    root: Path
    scene: str
    frame: str

    def __post_init__(self) -> None:
        if not _FRAME.fullmatch(self.frame):
            path = self.root / self.scene / self.frame
            raise bad_file(path, "bad_line", expected="<panorama>_<camera>_<rotation>", found=self.frame)

    def _path(self, kind: str, extension: str) -> Path:
        panorama, camera, rotation = self.frame.rsplit("_", 2)
        return self.root / self.scene / f"{panorama}_{kind}{camera}_{rotation}{extension}"

    @property
    def image(self) -> Path:
        return self._path("i", ".jpg")

    @property
    def depth(self) -> Path:
        return self._path("d", ".png")

    @property
    def segmap(self) -> Path:
        return self._path("segmap", ".mapped.npz")

    @property
    def geometry(self) -> Path:
        return self._path("geometry", ".npz")

    @property
    def segmentation(self) -> Path:
        return self._path("segmentation", ".mapped.npz")

    @property
    def weighting(self) -> Path:
        plain, mapped = self._path("weighting", ".npz"), self._path("weighting", ".mapped.npz")
        return mapped if not plain.exists() and mapped.exists() else plain

    @property
    def intrinsics(self) -> Path:
        panorama, camera, _ = self.frame.rsplit("_", 2)
        return self.root / self.scene / f"{panorama}_intrinsics_{camera}.npy"

    def existing(self) -> list[Path]:
        """The frame's own files that are there (its camera serves other frames too)."""
        files = (self.image, self.depth, self.segmap, self.geometry, self.segmentation, self.weighting, self.intrinsics)
        return [path for path in files if path.exists()]


def read_matterport_sample(
    root: PathLike, scene: str, frame: str, *, has_voxels: bool = True, grid: VoxelGrid | None = None
) -> Sample:
    """`grid` stands in for the one that follows from the frame's own camera."""
    files = MatterportFiles(Path(root), scene, frame)
    camera = read_intrinsics(files.intrinsics)
    grid = grid or released_grid(camera.intrinsics, IMAGE_SIZE)
    semantic_2d, instance_2d, room_2d = read_matterport_segmap(files.segmap)
    return Sample(
        scene=scene,
        frame=frame,
        image=torch.from_numpy(np.ascontiguousarray(read_jpeg(files.image, IMAGE_SIZE).transpose(2, 0, 1))),
        camera=camera,
        depth_m=torch.from_numpy(read_depth_png(files.depth, IMAGE_SIZE)),
        semantic_2d=semantic_2d,
        instance_2d=instance_2d,
        truth=read_matterport_truth(files, grid) if has_voxels else None,
        room_2d=room_2d,
        taxonomy=MATTERPORT_TAXONOMY,
    )


def read_matterport_truth(files: MatterportFiles, grid: VoxelGrid) -> VoxelTruth:
    shape = grid.shape
    semantic, instance = read_labels(files.segmentation, shape, len(MATTERPORT_TAXONOMY), ALIGNED)
    return assemble_truth(
        grid,
        read_distance(files.geometry, shape, "float32", ALIGNED, FILL_VOX, is_signed=True),
        semantic,
        instance,
        read_weight(files.weighting, shape, ALIGNED),
        torch.from_numpy(~read_array(files.geometry, "mask", Expected(shape, ("bool",)))),
        FILL_VOX,
    )


def read_matterport_segmap(path: PathLike) -> tuple[Tensor, Tensor, Tensor]:
    """(uint8 class, int32 instance, int32 other room) of every pixel."""
    segmap = read_array(path, "data", Expected((IMAGE_SIZE[1], IMAGE_SIZE[0], 3), ("uint32",)))
    check_classes(path, segmap[..., 0], len(MATTERPORT_TAXONOMY))
    check_instances(path, segmap[..., 1:])
    semantic, instance, room = np.moveaxis(segmap, -1, 0)
    return (
        torch.from_numpy(semantic.astype(np.uint8)),
        torch.from_numpy(instance.astype(np.int32)),
        torch.from_numpy(room.astype(np.int32)),
    )


def read_intrinsics(path: PathLike) -> Camera:
    matrix = read_npy(path, Expected((4, 4), ("float64",)))
    fx, fy, cx, cy = (float(matrix[a, b]) for a, b in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not (np.isfinite(matrix).all() and fx > 0 and fy > 0):
        found = f"fx,fy,cx,cy = {fx},{fy},{cx},{cy}"
        raise bad_file(path, "bad_intrinsics", expected="a camera matrix", found=found)
    return Camera(fx, fy, cx, cy, *IMAGE_SIZE)


def list_matterport_keys(root: PathLike) -> list[str]:
    """`<scene>/<frame>` of every photo below the root, sorted."""
    found = (
        (path.parent.name, f"{match['panorama']}_{match['camera']}_{match['rotation']}")
        for path in Path(root).glob("*/*_i*.jpg")
        if (match := _IMAGE.fullmatch(path.name))
    )
    return [f"{scene}/{frame}" for scene, frame in sorted(found)]
