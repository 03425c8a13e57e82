"""The released 3D-Front layout, file by file. Every quirk of the release is handled here, and nowhere else.

| quirk | what is done |
| --- | --- |
| volumes and frustum mask are stored with x and y reversed | both are turned, to agree with the photo and each other |
| depth is aligned with the photo (published loaders turn it by 180 degrees) | it is left alone |
| campose holds fy = 311.769 | the camera is `FRONT3D_CAMERA`; only the pose is read |
| walls and floor have instance ids in 2D and none in 3D | kept as they are in both |
| only voxels with a distance below 1 carry labels | kept; voxels without a label are listed with class 0 |
| distances end at 8 voxels and jump to 12 | 12 is the fill; whatever is not 12 is listed |
| the README speaks of weighting_NNNN.mapped.npz, the files of weighting_NNNN.npz | both names are looked for |
"""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from panoptic3d.data.arrays import Expected, PathLike, read_array
from panoptic3d.data.pictures import read_depth_exr, read_png
from panoptic3d.data.poses import check_pose
from panoptic3d.data.truth import assemble_truth
from panoptic3d.data.volumes import REVERSED, check_classes, check_instances, read_distance, read_labels, read_weight
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample, VoxelTruth
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

ORIENTATION = REVERSED


@dataclass(frozen=True)
class Front3dFiles:
    """Where the files of one frame lie."""

    root: Path
    scene: str
    frame: str

    def _path(self, name: str) -> Path:
        return self.root / self.scene / name.format(self.frame)

    @property
    def image(self) -> Path:
        return self._path("rgb_{}.png")

    @property
    def depth(self) -> Path:
        return self._path("depth_{}.exr")

    @property
    def segmap(self) -> Path:
        return self._path("segmap_{}.mapped.npz")

    @property
    def geometry(self) -> Path:
        return self._path("geometry_{}.npz")

    @property
    def segmentation(self) -> Path:
        return self._path("segmentation_{}.mapped.npz")

    @property
    def weighting(self) -> Path:
        plain, mapped = self._path("weighting_{}.npz"), self._path("weighting_{}.mapped.npz")
        return mapped if not plain.exists() and mapped.exists() else plain

    @property
    def campose(self) -> Path:
        """Optional: an extra download of the release."""
        return self._path("campose_{}.npz")

    @property
    def frustum_mask(self) -> Path:
        return self.root / "frustum_mask.npz"

    def existing(self) -> list[Path]:
        """The frame's own files that are there."""
        files = (self.image, self.depth, self.segmap, self.geometry, self.segmentation, self.weighting, self.campose)
        return [path for path in files if path.exists()]


def read_front3d_sample(
    root: PathLike,
    scene: str,
    frame: str,
    *,
    has_voxels: bool = True,
    camera: Camera = FRONT3D_CAMERA,
    grid: VoxelGrid = FRONT3D_GRID,
) -> Sample:
    files = Front3dFiles(Path(root), scene, frame)
    size = (camera.width, camera.height)
    image = read_png(files.image, size)
    semantic_2d, instance_2d = read_segmap(files.segmap, size)
    return Sample(
        scene=scene,
        frame=frame,
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        camera=camera,
        depth_m=torch.from_numpy(read_depth_exr(files.depth, size)),
        semantic_2d=semantic_2d,
        instance_2d=instance_2d,
        truth=read_front3d_truth(files, grid) if has_voxels else None,
        world_from_camera=read_pose(files.campose) if files.campose.exists() else None,
    )


def read_front3d_truth(files: Front3dFiles, grid: VoxelGrid = FRONT3D_GRID) -> VoxelTruth:
    shape = grid.shape
    semantic, instance = read_labels(files.segmentation, shape, len(FRONT3D_TAXONOMY), ORIENTATION)
    return assemble_truth(
        grid,
        read_distance(files.geometry, shape, "float64", ORIENTATION, FAR_VOX, is_signed=False),
        semantic,
        instance,
        read_weight(files.weighting, shape, ORIENTATION),
        read_frustum_mask(files.frustum_mask, grid),
        FAR_VOX,
    )


def read_segmap(path: PathLike, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(uint8 class, int32 instance) of every pixel."""
    segmap = read_array(path, "data", Expected((size[1], size[0], 2), ("uint32",)))
    check_classes(path, segmap[..., 0], len(FRONT3D_TAXONOMY))
    check_instances(path, segmap[..., 1])
    return torch.from_numpy(segmap[..., 0].astype(np.uint8)), torch.from_numpy(segmap[..., 1].astype(np.int32))


def read_frustum_mask(path: PathLike, grid: VoxelGrid = FRONT3D_GRID) -> Bool[Tensor, "x y z"]:
    """Camera aligned. One tensor per file and process: every sample of a root shares it, so never write into it."""
    try:
        status = os.stat(path)
    except OSError:
        return _read_frustum_mask(os.fspath(path), grid.shape)  # raises a message if the mask is wrong
    return _cached_frustum_mask(os.fspath(path), grid.shape, (status.st_mtime_ns, status.st_size))


def read_pose(path: PathLike) -> Tensor:
    """float64 4x4 that takes camera points (metres) into the world."""
    pose = read_array(path, "camera2world", Expected((4, 4), ("float64",)))
    check_pose(path, pose)
    return torch.from_numpy(pose)


def list_front3d_keys(root: PathLike) -> list[str]:
    """`<scene>/<frame>` of every photo below the root, sorted."""
    pattern = re.compile(r"rgb_(\w+)\.png")
    found = (
        (path.parent.name, match[1])
        for path in Path(root).glob("*/rgb_*.png")
        if (match := pattern.fullmatch(path.name))
    )
    return [f"{scene}/{frame}" for scene, frame in sorted(found)]


@lru_cache(maxsize=4)
def _cached_frustum_mask(path: str, shape: tuple[int, int, int], _version: tuple[int, int]) -> Tensor:
    return _read_frustum_mask(path, shape)


def _read_frustum_mask(path: str, shape: tuple[int, int, int]) -> Tensor:
    mask = read_array(path, "mask", Expected(shape, ("bool",)))
    return torch.from_numpy(np.ascontiguousarray(ORIENTATION.aligned(mask)))
