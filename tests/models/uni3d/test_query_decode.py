"""Voxels to segments, on paper."""

import torch

from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.models.query_decode.labels import query_labels
from panoptic3d.structures.taxonomy import CHAIR, FRONT3D_TAXONOMY, TABLE, VOID, WALL

BEST, ACCEPTED = QueryDecodeConfig(fill="best"), QueryDecodeConfig(fill="accepted")


def labels_of(
    logits: list[list[float]], classes: list[int], config: QueryDecodeConfig = BEST, distance: list[float] | None = None
):
    rows = torch.tensor(logits).view(-1, len(classes))
    return query_labels(
        rows,
        torch.zeros(len(rows)) if distance is None else torch.tensor(distance),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor([1.0 - 0.01 * i for i in range(len(classes))]),
        FRONT3D_TAXONOMY,
        config,
    )


def test_the_largest_product_wins_where_it_is_likely() -> None:
    labels = labels_of([[2.0, -2.0], [-2.0, 2.0], [-1.0, -3.0]], [CHAIR, TABLE], distance=[2.0, 2.0, 2.0])
    assert labels.segment.tolist() == [1, 2, 0]
    assert labels.class_of_segment == (VOID, CHAIR, TABLE)


def test_surface_without_a_mask_is_filled() -> None:
    labels = labels_of([[2.0, -2.0], [-1.0, -3.0]], [CHAIR, TABLE], distance=[0.0, 1.5])
    assert labels.segment.tolist() == [1, 1]


def test_filling_needs_a_segment() -> None:
    """The table is the best guess of the second voxel, but it owns none."""
    logits = [[2.0, -2.0], [-3.0, -1.0]]
    assert labels_of(logits, [CHAIR, TABLE], BEST).segment.tolist() == [1, 0]
    assert labels_of(logits, [CHAIR, TABLE], ACCEPTED).segment.tolist() == [1, 1]


def test_queries_of_one_stuff_class_share_a_segment_and_things_do_not() -> None:
    eye = [[2.0 if i == j else -2.0 for j in range(4)] for i in range(4)]
    labels = labels_of(eye, [WALL, CHAIR, WALL, CHAIR])
    assert labels.segment.tolist() == [1, 2, 1, 3]
    assert labels.segment_of_query == (1, 2, 1, 3)


def test_void_takes_no_part() -> None:
    labels = labels_of([[5.0, 1.0]], [VOID, CHAIR])
    assert labels.segment.tolist() == [1]
    assert labels.class_of_segment == (VOID, CHAIR)


def test_nothing_to_label() -> None:
    assert labels_of([], [CHAIR]).segment.tolist() == []
    assert labels_of([[3.0]], [VOID]).segment.tolist() == [0]
