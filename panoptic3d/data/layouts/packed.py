"""One file a sample, packed from another layout (docs/data-formats.md)."""

from functools import partial
from pathlib import Path

from panoptic3d.data.front3d import read_frustum_mask
from panoptic3d.data.layouts.base import Parts, Place
from panoptic3d.data.packed.sample import read_packed_file
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

PACKED_SUFFIX = ".p3d"


class PackedLayout:
    taxonomy = FRONT3D_TAXONOMY  # default; each sample stores its own

    def keys(self, place: Place) -> list[str]:
        files = place.path.glob(f"*/*{PACKED_SUFFIX}")
        return sorted(f"{file.parent.name}/{file.name.removesuffix(PACKED_SUFFIX)}" for file in files)

    def keys_of_any_file(self, place: Place) -> list[str]:
        return self.keys(place)

    def read(self, place: Place, key: str, has_voxels: bool) -> Sample:
        return read_packed_file(packed_file(place.path, key), place.shared_mask, has_voxels)

    def files(self, place: Place, key: str) -> list[Path]:
        return [path for path in [packed_file(place.path, key)] if path.exists()]

    def parts(self, place: Place, key: str) -> Parts:
        return {"packed": (packed_file(place.path, key), partial(self.read, place, key, True))}

    def shared_parts(self, place: Place) -> Parts:
        """Samples that were packed with masks of their own share none."""
        if not place.mask_path.exists():
            return {}
        return {"frustum_mask": (place.mask_path, partial(read_frustum_mask, place.mask_path, place.shared_grid))}


def packed_file(root: Path, key: str) -> Path:
    scene, frame = key.split("/")
    return root / scene / f"{frame}{PACKED_SUFFIX}"


PACKED = PackedLayout()
