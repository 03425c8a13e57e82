import numpy as np
from hypothesis import given

from panoptic3d.metrics.voxel_iou import VoxelConfusion, confusion_of_labels, voxel_confusion
from tests.metrics.grids import SHAPE, blocks, jittered, seeds


@given(seeds)
def test_sparse_counts_are_the_dense_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = blocks(rng, 8)
    prediction = jittered(rng, truth)
    mask = rng.random(SHAPE) < 0.8
    labels = [
        np.where((np.abs(v.distance.astype(np.float32)) < 1) & mask, v.semantic, 0)[mask] for v in (prediction, truth)
    ]
    confusion = voxel_confusion(prediction.labelled, truth.labelled, mask)
    np.testing.assert_array_equal(confusion.counts, confusion_of_labels(labels[0], labels[1]).counts)
    for class_id, iou in confusion.class_iou().items():
        hit, guess = labels[1] == class_id, labels[0] == class_id
        assert iou == (hit & guess).sum() / (hit | guess).sum()


def test_hand_made_counts() -> None:
    counts = VoxelConfusion.zero(3).counts
    counts[1] = [1, 3, 0]  # four voxels of class 1: three right, one missed
    counts[2] = [0, 1, 1]
    counts[0] = [90, 0, 0]
    confusion = VoxelConfusion(counts)
    assert confusion.class_iou() == {1: 3 / 5, 2: 1 / 2}
    assert confusion.mean_iou == 0.55
    assert confusion.occupancy_iou == 5 / 6
    assert VoxelConfusion.zero().mean_iou == VoxelConfusion.zero().occupancy_iou == 0.0
    np.testing.assert_array_equal((confusion + confusion).counts, 2 * counts)
