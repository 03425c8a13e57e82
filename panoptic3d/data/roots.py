"""A data root: a folder of samples in one of three layouts, read the same way."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.front3d import Front3dFiles, list_front3d_keys, read_front3d_sample, read_frustum_mask
from panoptic3d.data.matterport import MatterportFiles, list_matterport_keys, read_matterport_sample
from panoptic3d.data.packed.sample import read_packed_file
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.splits import Split, find_split, split_of_keys
from panoptic3d.errors import InputError, reading
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import Sample

Layout = Literal["front3d", "matterport", "packed"]
MANIFEST, PACKED_SUFFIX = "packed.json", ".p3d"
PACKED_FORMAT = "panoptic3d-packed"


@dataclass(frozen=True)
class DataRoot:
    """`camera` is that of the 3D-Front release; other renders in its layout may have their own. A `grid` stands in for the
    layout's: `FRONT3D_GRID`, and on Matterport3D the one that follows from each frame's camera.
    """

    path: Path
    layout: Layout
    camera: Camera = FRONT3D_CAMERA
    grid: VoxelGrid | None = None

    @property
    def shared_grid(self) -> VoxelGrid:
        """Of the frustum mask that a root's samples share."""
        return self.grid or FRONT3D_GRID

    def keys(self) -> list[str]:
        """`<scene>/<frame>` of every sample that lies here, sorted."""
        match self.layout:
            case "front3d":
                return list_front3d_keys(self.path)
            case "matterport":
                return list_matterport_keys(self.path)
            case "packed":
                files = self.path.glob(f"*/*{PACKED_SUFFIX}")
                return sorted(f"{file.parent.name}/{file.name.removesuffix(PACKED_SUFFIX)}" for file in files)

    def split(self, name_or_path: str | None) -> Split:
        """The named list, or all that lies here."""
        if name_or_path is not None:
            return find_split(self.path, name_or_path)
        keys = self.keys()
        if not keys:
            raise InputError(f"{self.path} holds no sample in the {self.layout} layout; check the path.")
        return split_of_keys("all", keys)

    def read(self, key: str, has_voxels: bool = True) -> Sample:
        """Raises `BadFileError` that names the file."""
        scene, frame = _parts(key)
        with reading(self.path / scene / frame, "a sound sample"):
            return self._read(key, scene, frame, has_voxels)

    def _read(self, key: str, scene: str, frame: str, has_voxels: bool) -> Sample:
        match self.layout:
            case "front3d":
                return read_front3d_sample(
                    self.path, scene, frame, has_voxels=has_voxels, camera=self.camera, grid=self.shared_grid
                )
            case "matterport":
                return read_matterport_sample(self.path, scene, frame, has_voxels=has_voxels, grid=self.grid)
            case "packed":
                return read_packed_file(self.packed_file(key), self.shared_mask, has_voxels)

    def files(self, key: str) -> list[Path]:
        """The sample's own files that are there."""
        scene, frame = _parts(key)
        match self.layout:
            case "front3d":
                return Front3dFiles(self.path, scene, frame).existing()
            case "matterport":
                return MatterportFiles(self.path, scene, frame).existing()
            case "packed":
                return [path for path in [self.packed_file(key)] if path.exists()]

    def packed_file(self, key: str) -> Path:
        scene, frame = _parts(key)
        return self.path / scene / f"{frame}{PACKED_SUFFIX}"

    @property
    def shared_mask(self) -> Callable[[VoxelGrid], Tensor]:
        """Reads the frustum mask that the samples of this root share."""
        return lambda grid: read_frustum_mask(self.path / "frustum_mask.npz", grid)


def open_root(
    path: PathLike,
    layout: Layout | Literal["auto"] = "auto",
    camera: Camera = FRONT3D_CAMERA,
    grid: VoxelGrid | None = None,
) -> DataRoot:
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"the data root {path} is no folder; give the folder that holds the scenes.")
    if layout == "auto":
        layout = _detect(path)
    if layout == "packed":
        check_manifest(path)
    return DataRoot(path, layout, camera, grid)


def check_manifest(root: Path) -> dict:
    """What the packer wrote about this root."""
    path = root / MANIFEST
    with reading(path, "the manifest of a packed data set"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or manifest.get("format") != PACKED_FORMAT:
        raise bad_file(path, "not_packed", expected="the manifest of a packed data set", found="another JSON")
    if manifest.get("version") != 1:
        raise bad_file(path, "wrong_version", expected="version 1", found=f"version {manifest.get('version')}")
    return manifest


def _detect(root: Path) -> Layout:
    """By what lies in the root; cheap for a root with thousands of scenes."""
    if (root / MANIFEST).exists():
        return "packed"
    if (root / "frustum_mask.npz").exists() or next(root.glob("*/rgb_*.png"), None) is not None:
        return "front3d"
    if next(root.glob("*/*_i[0-9]*_[0-9]*.jpg"), None) is not None:
        return "matterport"
    raise InputError(
        f"{root} looks like none of the known layouts ({', '.join(get_args(Layout))}): it has no {MANIFEST}, no "
        f"frustum_mask.npz, no <scene>/rgb_*.png and no <scene>/*_i*.jpg; give the folder that holds the scenes."
    )


def _parts(key: str) -> tuple[str, str]:
    scene, _, frame = key.partition("/")
    if not scene or not frame or "/" in frame:
        raise InputError(f"a sample is called <scene>/<frame>, got {key!r}.")
    return scene, frame
