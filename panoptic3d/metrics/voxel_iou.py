"""Voxel scores of semantic scene completion: IoU of occupancy and mean IoU over classes, from sums."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Integer

from panoptic3d.metrics.labelled import NUM_CLASSES, LabelledVoxels


@dataclass(frozen=True, eq=False)
class VoxelConfusion:
    """Voxels by true (row) and predicted (column) class; class 0 is empty space. Add those of many images."""

    counts: Int64[np.ndarray, "classes classes"]

    @classmethod
    def zero(cls, num_classes: int = NUM_CLASSES) -> "VoxelConfusion":
        return cls(np.zeros((num_classes, num_classes), dtype=np.int64))

    def __add__(self, other: "VoxelConfusion") -> "VoxelConfusion":
        return VoxelConfusion(self.counts + other.counts)

    def class_iou(self) -> dict[int, float]:
        """IoU of each class that occurs in prediction or truth, without empty space."""
        hits = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        return {c: float(hits[c] / union[c]) for c in range(1, len(hits)) if union[c]}

    @property
    def mean_iou(self) -> float:
        """Over the classes that occur on either side; 0 where none does."""
        ious = list(self.class_iou().values())
        return float(np.mean(ious)) if ious else 0.0

    @property
    def occupancy_iou(self) -> float:
        """Occupied or empty, whatever the class."""
        both = int(self.counts[1:, 1:].sum())
        union = int(self.counts.sum() - self.counts[0, 0])
        return both / union if union else 0.0


def confusion_of_labels(
    predicted: Integer[np.ndarray, " n"], truth: Integer[np.ndarray, " n"], num_classes: int = NUM_CLASSES
) -> VoxelConfusion:
    pairs = truth.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return VoxelConfusion(np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes))


def voxel_confusion(
    prediction: LabelledVoxels,
    truth: LabelledVoxels,
    mask: Bool[np.ndarray, "x y z"],
    iso_vox: float = 1.0,
) -> VoxelConfusion:
    """Confusion of surface voxels (|distance| below the iso level) in the mask; all others are empty. No thickening."""
    sides = []
    for voxels in (truth, prediction):
        keep = voxels.where((voxels.distance_vox < np.float32(iso_vox)) & mask.reshape(-1)[voxels.linear_index])
        sides.append(keep.where(keep.semantic > 0))
    index = np.union1d(sides[0].linear_index, sides[1].linear_index)
    labels = []
    for side in sides:
        label = np.zeros(len(index), dtype=np.int64)
        label[np.searchsorted(index, side.linear_index)] = side.semantic
        labels.append(label)
    confusion = confusion_of_labels(labels[1], labels[0])
    confusion.counts[0, 0] = int(mask.sum()) - len(index)
    return confusion
