"""The interface of a data layout: list samples, read one, and name all files of one for `data verify`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from re import Match, Pattern
from typing import Protocol, runtime_checkable

from torch import Tensor

from panoptic3d.choices import object_named
from panoptic3d.data.front3d import read_frustum_mask
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import Taxonomy

# name of the file in its layout -> its path, and a call that reads it or raises `BadFileError`
Parts = Mapping[str, tuple[Path, Callable[[], object]]]
_HERE = "panoptic3d.data.layouts"
LAYOUTS = {
    "front3d": f"{_HERE}.front3d:FRONT3D",
    "matterport": f"{_HERE}.matterport:MATTERPORT",
    "packed": f"{_HERE}.packed:PACKED",
}


@dataclass(frozen=True)
class Place:
    """A folder in some layout. `camera` is that of the 3D-Front release; other renders in its layout may have their own. A
    `grid` stands in for the layout's.
    """

    path: Path
    camera: Camera = FRONT3D_CAMERA
    grid: VoxelGrid | None = None

    @property
    def shared_grid(self) -> VoxelGrid:
        """Grid of the frustum mask that all samples of a root share."""
        return self.grid or FRONT3D_GRID

    @property
    def mask_path(self) -> Path:
        return self.path / "frustum_mask.npz"

    @property
    def shared_mask(self) -> Callable[[VoxelGrid], Tensor]:
        """Reads the frustum mask that the samples of this root share."""
        return lambda grid: read_frustum_mask(self.mask_path, grid)

    def matches(self, pattern: Pattern[str]) -> Iterator[tuple[Path, Match[str]]]:
        """Files of scenes whose whole name fits."""
        for path in self.path.glob("*/*"):
            if (found := pattern.fullmatch(path.name)) is not None:
                yield path, found


@runtime_checkable
class Layout(Protocol):
    taxonomy: Taxonomy

    def keys(self, place: Place) -> list[str]:
        """`<scene>/<frame>` of every sample that lies here, sorted."""
        ...

    def keys_of_any_file(self, place: Place) -> list[str]:
        """Every sample that has at least one file: a sample whose photo is missing is not a sample that is not there."""
        ...

    def read(self, place: Place, key: str, has_voxels: bool) -> Sample:
        """Raises `BadFileError` that names the file."""
        ...

    def files(self, place: Place, key: str) -> list[Path]:
        """The sample's own files that are there."""
        ...

    def parts(self, place: Place, key: str) -> Parts:
        """Each file of a sample, and the call that reads it."""
        ...

    def shared_parts(self, place: Place) -> Parts:
        """The files that serve the whole root; the frustum mask is called `frustum_mask`."""
        ...


def layout_of(name: str) -> Layout:
    return object_named("layout", name, LAYOUTS, Layout, "the parts of panoptic3d.data.layouts.base.Layout")
