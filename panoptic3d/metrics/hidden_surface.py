"""How well surfaces are completed: those that the image shows apart from those that it does not. Sums, as everything here.

PRQ counts segments, and most voxels of a segment are usually seen. Here a voxel of the surface counts by itself: it is found
if the other side has one within a voxel along every axis.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.visibility import is_occluded
from panoptic3d.geometry.voxels import linear_index, nearest_voxels
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid

SEEN, HIDDEN = range(2)  # rows
TRUE, FOUND, RIGHT_CLASS, PREDICTED, CORRECT = range(5)  # columns
_OFFSETS = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]


@dataclass(frozen=True)
class SurfaceScore:
    """Fractions in [0, 1]; 0 where there is nothing to divide by."""

    precision: float  # of the predicted voxels
    recall: float  # of the true voxels
    f1: float
    right_class: float  # share of the true voxels that are found by a voxel of their class


def surface_counts(
    prediction: LabelledVoxels,
    truth: LabelledVoxels,
    view: "View",
    mask: Bool[np.ndarray, "x y z"],
    iso_vox: float = 1.0,
) -> Int64[np.ndarray, "2 5"]:
    """Counts of one image: true voxels, those found, those found with the right class; predicted ones, those of them that are
    right. Labelled voxels nearer than the iso level and inside of the mask count.
    """
    sides = []
    for voxels in (truth, prediction):
        keep = (voxels.distance_vox < np.float32(iso_vox)) & mask.reshape(-1)[voxels.linear_index]
        sides.append(voxels.where(keep & (voxels.semantic > 0)))
    true, predicted = sides
    there = _Neighbourhood(predicted).classes_at(true)
    counts = np.zeros((2, 5), dtype=np.int64)
    is_hidden = view.hides(true), view.hides(predicted)
    own = (there >> true.semantic.astype(np.uint16)) & 1
    is_correct = _Neighbourhood(true).classes_at(predicted) > 0
    for row in (SEEN, HIDDEN):
        mine, theirs = (hidden == (row == HIDDEN) for hidden in is_hidden)
        found = (there[mine] > 0).sum(), own[mine].sum()
        counts[row] = mine.sum(), *found, theirs.sum(), is_correct[theirs].sum()
    return counts


def surface_scores(counts: Int64[np.ndarray, "*b 5"]) -> Float64[np.ndarray, "*b 4"]:
    """Precision, recall, F1 and share of right classes."""
    predicted, true = counts[..., PREDICTED], counts[..., TRUE]
    precision, recall = _share(counts[..., CORRECT], predicted), _share(counts[..., FOUND], true)
    f1 = _share(2 * precision * recall, precision + recall)
    return np.stack((precision, recall, f1, _share(counts[..., RIGHT_CLASS], true)), axis=-1)


def score_of(counts: Int64[np.ndarray, " 5"]) -> SurfaceScore:
    return SurfaceScore(*(float(value) for value in surface_scores(counts)))


class View:
    """What a depth map shows of a grid."""

    def __init__(self, grid: VoxelGrid, camera: Camera, depth_m: Float32[np.ndarray, "h w"]) -> None:
        self.grid, self.camera, self.depth_m = grid, camera, torch.from_numpy(np.ascontiguousarray(depth_m))
        points = unproject_depth_map(self.depth_m, camera.intrinsics.float())[self.depth_m > 0]
        voxels, is_inside = nearest_voxels(grid.index_from_camera(points), grid.shape)
        hit = linear_index(voxels[is_inside], grid.shape).unique().numpy().astype(np.int32)
        ones = np.ones(len(hit), np.uint8)
        self._near = _Neighbourhood(LabelledVoxels(grid.shape, hit, ones.astype(np.float32), ones, hit))

    def hides(self, voxels: LabelledVoxels) -> Bool[np.ndarray, " n"]:
        """Which lie farther than a voxel from all that any pixel shows, and not in the free space before it."""
        coords = np.stack(np.unravel_index(voxels.linear_index, voxels.shape), axis=1).astype(np.float32)
        points, intrinsics = self.grid.camera_from_index(torch.from_numpy(coords)), self.camera.intrinsics.float()
        has_depth = torch.where(self.depth_m > 0, 1e-6, 0.0)  # everything with a pixel lies behind this
        is_before = is_occluded(points, has_depth, intrinsics) & ~is_occluded(points, self.depth_m, intrinsics)
        return (self._near.classes_at(voxels) == 0) & ~is_before.numpy()


class _Neighbourhood:
    """Which classes occur within a voxel of each place, as bits, in a volume with a border of one voxel."""

    def __init__(self, voxels: LabelledVoxels) -> None:
        self._padded = tuple(size + 2 for size in voxels.shape)
        self._bits = np.zeros(int(np.prod(self._padded)), dtype=np.uint16)
        places, bits = self._places(voxels), np.left_shift(np.uint16(1), voxels.semantic.astype(np.uint16))
        for offset in _OFFSETS:
            step = (offset[0] * self._padded[1] + offset[1]) * self._padded[2] + offset[2]
            self._bits[places + step] |= bits  # no place occurs twice

    def classes_at(self, voxels: LabelledVoxels) -> np.ndarray:
        return self._bits[self._places(voxels)]

    def _places(self, voxels: LabelledVoxels) -> np.ndarray:
        i, j, k = np.unravel_index(voxels.linear_index, voxels.shape)
        return ((i + 1) * self._padded[1] + j + 1) * self._padded[2] + k + 1


def _share(part: np.ndarray | np.number, whole: np.ndarray | np.number) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
