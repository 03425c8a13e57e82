"""What a photo shows, on paper."""

import torch

from panoptic3d.data.targets import Instances2d
from panoptic3d.engine.methods.panorecon.image_truth import (
    channel_of,
    image_truth,
    mask_iou,
    matched,
    numbered,
    shuffled_numbers,
)
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import CHAIR, FRONT3D_TAXONOMY, SOFA
from tests.engine.methods.conftest import CAMERA, batch_of, room

STRIP = Camera(8.0, 8.0, 3.5, 0.0, width=8, height=1)


def strip(*spans: tuple[int, int]) -> torch.Tensor:
    """Masks of a picture of one row of eight pixels."""
    masks = torch.zeros(len(spans), 1, 8, dtype=torch.bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return masks


def things_of(masks: torch.Tensor) -> Instances2d:
    count = len(masks)
    return Instances2d(tuple(range(10, 10 + count)), (SOFA,) * count, masks, torch.zeros(count, 4, dtype=torch.int64))


def detections_of(masks: torch.Tensor) -> Instances2D:
    count = len(masks)
    return Instances2D(
        camera=STRIP,
        boxes_px=torch.zeros(count, 4),
        class_ids=torch.full((count,), SOFA),
        scores=torch.ones(count),
        masks=masks.float(),
        is_confident=torch.ones(count, dtype=torch.bool),
    )


def test_half_as_many_pixels_are_every_second_one() -> None:
    batch = batch_of(room(0))
    truth = image_truth(batch, 0, CAMERA.resized(48, 32), (32, 48), FRONT3D_TAXONOMY, 20, 15)
    assert torch.equal(truth.depth_m, batch.depth_m[0, 1::2, 1::2])
    assert truth.things.ids == (20, 21)
    assert truth.class_ids.tolist() == [SOFA, CHAIR]
    assert torch.equal(truth.things.masks[0], batch.instance_2d[0, 1::2, 1::2] == 20)
    assert truth.boxes_px[0].tolist() == [5, 10, 16, 24]


def test_overlaps_on_paper() -> None:
    """Four of six, nothing, and two empty masks."""
    assert torch.allclose(mask_iou(strip((0, 6)), strip((2, 6), (6, 8))), torch.tensor([[4 / 6, 0.0]]))
    assert mask_iou(strip((0, 0)), strip((0, 0))).tolist() == [[0.0]]


def test_the_first_that_fits_or_the_best() -> None:
    """The first detection covers 3 of 5 pixels, the second all of them."""
    things, found = things_of(strip((0, 5))), detections_of(strip((0, 3), (0, 5)))
    assert matched(found, things, takes_best=False) == {10: 0}
    assert matched(found, things, takes_best=True) == {10: 1}


def test_a_detection_is_taken_once_and_half_is_too_little() -> None:
    twice = things_of(strip((0, 5), (0, 5)))
    assert matched(detections_of(strip((0, 5))), twice, takes_best=True) == {10: 0}
    assert matched(detections_of(strip((0, 2))), things_of(strip((0, 4))), takes_best=True) == {}
    assert matched(detections_of(strip()), twice, takes_best=False) == {}


def test_numbers_are_distinct_and_belong_to_their_stream() -> None:
    things = things_of(strip(*[(0, 1)] * 4))
    first, second = (shuffled_numbers(things, 15, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first == second
    assert len(set(first.values())) == 4
    assert set(first.values()) <= set(range(1, 16))
    assert first != shuffled_numbers(things, 15, torch.Generator().manual_seed(2))
    many = things_of(strip(*[(0, 1)] * 20))
    assert sorted(shuffled_numbers(many, 15, torch.Generator()).values()) == list(range(1, 21))
    assert [channel_of(n, 15) for n in (1, 15, 16, 31)] == [1, 15, 1, 1]


def test_numbers_without_a_mask_stay_empty() -> None:
    given = numbered({3: torch.ones(1, 8), 1: torch.full((1, 8), 0.5)}, STRIP, torch.device("cpu"))
    assert given.masks.sum(dim=(1, 2)).tolist() == [4, 0, 8]
    assert len(numbered({}, STRIP, torch.device("cpu"))) == 0
