"""Ground truth of an image for a score: its voxel labels, its 2D labels and the mask; photo and depth only on demand."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from panoptic3d.data.front3d import ORIENTATION, Front3dFiles, read_frustum_mask, read_segmap
from panoptic3d.data.pictures import read_depth_exr
from panoptic3d.data.volumes import Sparse, read_distance, read_labels
from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.panoptic_quality import Truth
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import FAR_VOX
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY


class Front3dTruth:
    """Truths of a folder of the released layout."""

    def __init__(self, root: Path, grid: VoxelGrid = FRONT3D_GRID, camera: Camera = FRONT3D_CAMERA) -> None:
        self.root, self.grid, self.camera = root, grid, camera

    def files(self, key: str) -> Front3dFiles:
        scene, _, frame = key.partition("/")
        return Front3dFiles(self.root, scene, frame)

    def read(self, key: str) -> Truth:
        """Reads the files that a score needs and no others: loss weights take longer than the rest together."""
        files = self.files(key)
        shape = self.grid.shape
        semantic, instance = read_labels(files.segmentation, shape, len(FRONT3D_TAXONOMY), ORIENTATION)
        distance = self.read_distance(key)
        index = np.union1d(semantic.index, instance.index).astype(np.int32)
        columns = (
            _at(index, distance.index, distance.values, FAR_VOX),
            _at(index, semantic.index, semantic.values, 0),
            _at(index, instance.index, instance.values, 0),
        )
        size = (self.camera.width, self.camera.height)
        semantic_2d, instance_2d = read_segmap(files.segmap, size)
        pixels = PixelLabels(semantic_2d.numpy(), instance_2d.numpy())
        frustum = _frustum(files.frustum_mask, self.grid, files.frustum_mask.stat().st_mtime_ns)
        return Truth(LabelledVoxels.checked(shape, index, *columns), pixels, frustum)

    def read_distance(self, key: str) -> Sparse:
        """The stored field, sparse: distances other than far."""
        path = self.files(key).geometry
        return read_distance(path, self.grid.shape, "float64", ORIENTATION, FAR_VOX, is_signed=False)

    def read_depth_m(self, key: str) -> Float32[np.ndarray, "h w"] | None:
        """None where the data have no depth maps."""
        path = self.files(key).depth
        return read_depth_exr(path, (self.camera.width, self.camera.height)) if path.exists() else None

    def stamp(self, key: str) -> list[tuple[str, int, int]]:
        """Changes when a file that a score is made from does."""
        files = self.files(key)
        return [file_stamp(path) for path in (files.geometry, files.segmentation, files.segmap, files.frustum_mask)]


def file_stamp(path: Path) -> tuple[str, int, int]:
    """Name, size and time of change; a missing file has a stamp too."""
    if not path.exists():
        return path.name, -1, 0
    status = path.stat()
    return path.name, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=2)
def _frustum(path: Path, grid: VoxelGrid, _changed_ns: int) -> Frustum:
    return Frustum(read_frustum_mask(path, grid).numpy())


def _at(index: np.ndarray, known: np.ndarray, values: np.ndarray, fill: float | int) -> np.ndarray:
    """Values at the indices, the fill where there is none; all ascending."""
    found = np.full(len(index), fill, values.dtype)
    if len(known):
        places = np.minimum(np.searchsorted(known, index), len(known) - 1)
        is_known = known[places] == index
        found[is_known] = values[places[is_known]]
    return found
