"""Ground truth of an image for a score, from a data root of any layout: labels, mask, distances and depth."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

from panoptic3d.data.front3d import ORIENTATION, Front3dFiles, read_frustum_mask, read_segmap
from panoptic3d.data.pictures import read_depth_exr, read_png
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.volumes import Sparse, read_distance, read_labels
from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.panoptic_quality import Truth
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY


@dataclass(frozen=True, eq=False)
class TrueFrame:
    """What one image is scored against."""

    truth: Truth
    grid: VoxelGrid
    camera: Camera
    depth_m: Float32[np.ndarray, "h w"] | None  # None where the data have none
    distance: Sparse  # the stored field


def read_true_frame(root: DataRoot, key: str) -> TrueFrame:
    """Raises `BadFileError` that names the file."""
    return _read_released(root, key) if root.layout == "front3d" else _read_sample(root, key)


def true_frame_of(sample: Sample) -> TrueFrame:
    voxels = sample.truth
    assert voxels is not None, "read with its volumes"
    mask = voxels.frustum_mask
    truth = Truth.from_sample(sample, _frustum_of(mask))
    distance = Sparse(voxels.linear_index.numpy(), np.abs(voxels.distance_vox.numpy()))
    return TrueFrame(truth, voxels.grid, sample.camera, sample.depth_m.numpy(), distance)


def read_photo(root: DataRoot, key: str) -> UInt8[np.ndarray, "h w 3"] | None:
    """None where a released frame has no photo, which a score does not need."""
    if root.layout != "front3d":
        return root.read(key, has_voxels=False).image.permute(1, 2, 0).numpy()
    path = _released_files(root, key).image
    return read_png(path, (root.camera.width, root.camera.height)) if path.exists() else None


def truth_stamp(root: DataRoot, key: str) -> list[tuple[str, int, int]]:
    """Changes when a file that a score is made from does."""
    return [file_stamp(path) for path in (*sorted(root.files(key)), root.path / "frustum_mask.npz")]


def file_stamp(path: Path) -> tuple[str, int, int]:
    """Name, size and time of change; a missing file has a stamp too."""
    if not path.exists():
        return path.name, -1, 0
    status = path.stat()
    return path.name, status.st_size, status.st_mtime_ns


def _released_files(root: DataRoot, key: str) -> Front3dFiles:
    scene, _, frame = key.partition("/")
    return Front3dFiles(root.path, scene, frame)


def _read_released(root: DataRoot, key: str) -> TrueFrame:
    """Only the files that a score needs: loss weights and photo would take as long again."""
    files, grid = _released_files(root, key), root.shared_grid
    size = (root.camera.width, root.camera.height)
    semantic, instance = read_labels(files.segmentation, grid.shape, len(FRONT3D_TAXONOMY), ORIENTATION)
    distance = read_distance(files.geometry, grid.shape, "float64", ORIENTATION, FAR_VOX, is_signed=False)
    index = np.union1d(semantic.index, instance.index).astype(np.int32)
    columns = (
        _at(index, distance.index, distance.values, FAR_VOX),
        _at(index, semantic.index, semantic.values, 0),
        _at(index, instance.index, instance.values, 0),
    )
    semantic_2d, instance_2d = read_segmap(files.segmap, size)
    mask = read_frustum_mask(files.frustum_mask, grid)  # one tensor for all frames
    truth = Truth(
        LabelledVoxels.checked(grid.shape, index, *columns),
        PixelLabels(semantic_2d.numpy(), instance_2d.numpy()),
        _frustum_of(mask),
    )
    depth_m = read_depth_exr(files.depth, size) if files.depth.exists() else None
    return TrueFrame(truth, grid, root.camera, depth_m, distance)


def _read_sample(root: DataRoot, key: str) -> TrueFrame:
    sample = root.read(key)
    if sample.truth is None:
        path = (root.files(key) or [root.path / key])[0]
        raise bad_file(path, "no_voxels", expected="volumes to score against", found="a sample of the 2D stage alone")
    return true_frame_of(sample)


@lru_cache(maxsize=2)
def _frustum_of(mask: Tensor) -> Frustum:
    """Tensors are told apart by identity: samples that share a mask share the masks packed from it."""
    return Frustum(mask.numpy())


def _at(index: np.ndarray, known: np.ndarray, values: np.ndarray, fill: float | int) -> np.ndarray:
    """Values at the indices, `fill` where an index is unknown. All indices are ascending."""
    found = np.full(len(index), fill, values.dtype)
    if len(known):
        places = np.minimum(np.searchsorted(known, index), len(known) - 1)
        is_known = known[places] == index
        found[is_known] = values[places[is_known]]
    return found
