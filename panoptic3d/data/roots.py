"""A data root: a folder of samples in some layout, read the same way whatever it is."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.layouts.base import LAYOUTS, Layout, Place, layout_of
from panoptic3d.data.layouts.packed import packed_file
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.splits import Split, find_split, split_of_keys
from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import Taxonomy

MANIFEST = "packed.json"
PACKED_FORMAT = "panoptic3d-packed"


@dataclass(frozen=True)
class DataRoot:
    """`camera` is that of the 3D-Front release; other renders in its layout may have their own. A `grid` stands in for the
    layout's: `FRONT3D_GRID`, and on Matterport3D the one that follows from each frame's camera.
    """

    path: Path
    layout: str  # a built-in name, or `package.module:NAME`
    camera: Camera = FRONT3D_CAMERA
    grid: VoxelGrid | None = None

    @property
    def kind(self) -> Layout:
        return layout_of(self.layout)

    @property
    def taxonomy(self) -> Taxonomy:
        """Taxonomy of the samples; a packed root keeps that of its source."""
        return (
            layout_of(check_manifest(self.path)["layout"]).taxonomy if self.layout == "packed" else self.kind.taxonomy
        )

    @property
    def place(self) -> Place:
        return Place(self.path, self.camera, self.grid)

    @property
    def shared_grid(self) -> VoxelGrid:
        return self.place.shared_grid

    @property
    def shared_mask(self) -> Callable[[VoxelGrid], Tensor]:
        return self.place.shared_mask

    def keys(self) -> list[str]:
        """`<scene>/<frame>` of every sample that lies here, sorted."""
        return self.kind.keys(self.place)

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
            sample = self.kind.read(self.place, key, has_voxels)
        promised = _promised_taxonomy(self.path) if self.layout == "packed" else None
        if promised is not None and sample.taxonomy is not promised:
            wanted = f"classes of {promised.name}, as {MANIFEST} promises"
            raise bad_file(
                self.packed_file(key), "foreign_taxonomy", expected=wanted, found=f"those of {sample.taxonomy.name}"
            )
        return sample

    def files(self, key: str) -> list[Path]:
        """The sample's own files that are there."""
        _parts(key)
        return self.kind.files(self.place, key)

    def packed_file(self, key: str) -> Path:
        _parts(key)
        return packed_file(self.path, key)


def path_of(root: PathLike) -> Path:
    """The folder of `package.module:LAYOUT@FOLDER`, or what was given."""
    return Path(_split(root)[1])


def open_root(
    path: PathLike, layout: str = "auto", camera: Camera = FRONT3D_CAMERA, grid: VoxelGrid | None = None
) -> DataRoot:
    """Open a folder and recognise its layout, or open `package.module:LAYOUT@FOLDER` with a layout of your own."""
    named, folder = _split(path)
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"the data root {path} is no folder; give the folder that holds the scenes.")
    if named is not None:
        layout = named
    elif layout == "auto":
        layout = _detect(path)
    if layout == "packed":
        check_manifest(path)
    layout_of(layout)
    return DataRoot(path, layout, camera, grid)


def _split(root: PathLike) -> tuple[str | None, str]:
    layout, separator, folder = str(root).partition("@")
    is_named = separator and ":" in layout and "/" not in layout
    return (layout, folder) if is_named else (None, str(root))


def check_manifest(root: Path) -> dict:
    """Read and check the manifest that the packer wrote."""
    path = root / MANIFEST
    with reading(path, "the manifest of a packed data set"):
        manifest = json.loads(read_file(path))
    if not isinstance(manifest, dict) or manifest.get("format") != PACKED_FORMAT:
        raise bad_file(path, "not_packed", expected="the manifest of a packed data set", found="another JSON")
    if manifest.get("version") != 1:
        raise bad_file(path, "wrong_version", expected="version 1", found=f"version {manifest.get('version')}")
    return manifest


@functools.lru_cache(maxsize=64)
def _promised_taxonomy(root: Path) -> Taxonomy | None:
    """Taxonomy in the manifest of a packed root; None without a manifest."""
    return layout_of(check_manifest(root)["layout"]).taxonomy if (root / MANIFEST).exists() else None


def _detect(root: Path) -> str:
    """By what lies in the root; cheap for a root with thousands of scenes."""
    if (root / MANIFEST).exists():
        return "packed"
    if (root / "frustum_mask.npz").exists() or next(root.glob("*/rgb_*.png"), None) is not None:
        return "front3d"
    if next(root.glob("*/*_i[0-9]*_[0-9]*.jpg"), None) is not None:
        return "matterport"
    raise InputError(
        f"{root} looks like none of the known layouts ({', '.join(LAYOUTS)}): it has no {MANIFEST}, no "
        f"frustum_mask.npz, no <scene>/rgb_*.png and no <scene>/*_i*.jpg; give the folder that holds the scenes."
    )


def _parts(key: str) -> tuple[str, str]:
    scene, _, frame = key.partition("/")
    if not scene or not frame or "/" in frame:
        raise InputError(f"a sample is called <scene>/<frame>, got {key!r}.")
    return scene, frame
