"""The parts of a data root that `verify` reads, for any layout."""

from torch import Tensor

from panoptic3d.data.layouts.base import Parts
from panoptic3d.data.roots import DataRoot
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid


def keys_of_any_file(root: DataRoot) -> list[str]:
    return root.kind.keys_of_any_file(root.place)


def parts_of(root: DataRoot, key: str) -> Parts:
    return root.kind.parts(root.place, key)


def shared_parts(root: DataRoot) -> Parts:
    return root.kind.shared_parts(root.place)


def shared_mask(root: DataRoot) -> tuple[Tensor, VoxelGrid, Camera] | None:
    """The frustum mask of the whole root with the grid and camera that it should fit; None where samples have theirs."""
    if "frustum_mask" not in shared_parts(root):
        return None
    return root.place.shared_mask(root.shared_grid), root.shared_grid, root.camera
