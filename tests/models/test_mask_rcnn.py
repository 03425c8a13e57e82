"""The parts of the detector against the slow way of writing each, and what must hold for all boxes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.geometry.boxes import decode, encode, iou, non_maximum_suppression
from panoptic3d.models.mask_rcnn.anchors import anchors_of_map, base_anchors
from panoptic3d.models.mask_rcnn.config import MaskRcnnConfig, ProposalConfig
from panoptic3d.models.mask_rcnn.mask_paste import paste_masks
from panoptic3d.models.mask_rcnn.roi_align import roi_align
from panoptic3d.models.mask_rcnn.stage import MaskRcnn
from panoptic3d.structures.camera import Camera


def random_boxes(count: int, seed: int, size: float = 60.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=random) * size
    return torch.cat((low, low + torch.rand(count, 2, generator=random) * size), dim=1)


def test_anchors_are_those_that_published_weights_know() -> None:
    """Section 11 of the specification."""
    base = base_anchors(16, (32, 64, 128, 256, 512), (0.5, 1.0, 2.0))
    assert base[[0, 4, 5, 9, 10, 14]].tolist() == [
        [-15, -4, 30, 19],
        [-360, -184, 375, 199],
        [-8, -8, 23, 23],
        [-248, -248, 263, 263],
        [-3, -14, 18, 29],
        [-168, -344, 183, 359],
    ]
    every = anchors_of_map(base, 2, 3, 16)
    assert every.shape == (90, 4)
    assert every[15].tolist() == [1, -4, 46, 19]  # the next column before the next row
    assert every[45].tolist() == [-15, 12, 30, 35]


def test_iou_counts_pixels_on_paper() -> None:
    """3x3 pixels and 3x3 pixels that share 2x1 of them."""
    first, second = torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 2, 3, 4]])
    assert iou(first, second).item() == pytest.approx(2 / 16)
    assert iou(first, first + 10).item() == 0


@given(st.integers(0, 10**6), st.integers(0, 30), st.sampled_from([0.2, 0.5]), st.booleans())
def test_suppression_is_greedy(seed: int, count: int, threshold: float, is_grouped: bool) -> None:
    boxes = random_boxes(count, seed).round()
    scores = torch.rand(count, generator=torch.Generator().manual_seed(seed + 1)).mul(8).round() / 8  # with ties
    groups = torch.arange(count) % 3 if is_grouped else torch.zeros(count, dtype=torch.int64)
    kept: list[int] = []
    overlaps = iou(boxes, boxes)
    for row in scores.argsort(descending=True, stable=True).tolist():
        if all(overlaps[row, k] < threshold or groups[row] != groups[k] for k in kept):
            kept.append(row)
    assert non_maximum_suppression(boxes, scores, threshold, groups).tolist() == sorted(kept)


@given(st.integers(0, 10**6))
def test_a_code_brings_its_box_back(seed: int) -> None:
    boxes, anchors = random_boxes(9, seed).double(), random_boxes(9, seed + 1).double()
    weights = (10.0, 10.0, 5.0, 5.0)
    torch.testing.assert_close(decode(encode(boxes, anchors, weights), anchors, weights), boxes)


def test_growth_is_bounded() -> None:
    anchor = torch.tensor([[0.0, 0, 15, 15]])
    grown = decode(torch.tensor([[0.0, 0, 100, 100]]), anchor, (1.0, 1.0, 1.0, 1.0))
    assert (grown[:, 2] - grown[:, 0] + 1).item() == pytest.approx(1000)


def one_sample(features: Tensor, y: float, x: float) -> Tensor:
    _, height, width = features.shape
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros_like(features[:, 0, 0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    a, b = y - i, x - j
    corners = features[:, i : i + 2, j : j + 2]
    weights = torch.tensor([[(1 - a) * (1 - b), (1 - a) * b], [a * (1 - b), a * b]], dtype=features.dtype)
    return (corners * weights).sum(dim=(1, 2))


def test_roi_align_twin() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 7, 9, dtype=torch.float64)
    boxes = torch.tensor(
        [[8.0, 16, 100, 90], [-60, -50, 30, 20], [130, 100, 180, 150], [40, 40, 41, 41]], dtype=torch.float64
    )
    size, samples, scale = 4, 2, 1 / 16
    pooled = roi_align(features, boxes, scale, size, samples)
    for n, box in enumerate((boxes * scale).tolist()):
        steps = [max(box[2 + axis] - box[axis], 1.0) / size for axis in (0, 1)]
        for p in range(size):
            for q in range(size):
                values = [
                    one_sample(
                        features,
                        box[1] + (p + (a + 0.5) / samples) * steps[1],
                        box[0] + (q + (b + 0.5) / samples) * steps[0],
                    )
                    for a in range(samples)
                    for b in range(samples)
                ]
                torch.testing.assert_close(pooled[n, :, p, q], torch.stack(values).mean(dim=0))
    assert roi_align(features, boxes[:0], scale, size, samples).shape == (0, 3, size, size)


def pasted(mask: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """One box at a time, by resizing and copying."""
    grow = (mask.shape[-1] + 2) / mask.shape[-1]
    half, centre = (box[2:] - box[:2]) * 0.5 * grow, (box[2:] + box[:2]) * 0.5
    x1, y1, x2, y2 = (int(v) for v in torch.cat((centre - half, centre + half)))  # int() cuts towards zero
    size = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
    resized = F.interpolate(F.pad(mask, (1, 1, 1, 1))[None, None], size=size, mode="bilinear")[0, 0]
    image = torch.zeros(height, width, dtype=mask.dtype)
    rows = slice(max(y1, 0), max(min(y1 + size[0], height), 0))
    columns = slice(max(x1, 0), max(min(x1 + size[1], width), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        image[rows, columns] = resized[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1]
    return image


@given(st.integers(0, 10**6))
def test_paste_twin(seed: int) -> None:
    """To the bit: a rim of 7e-9 is not 0. Boxes at and over the borders, smaller than a pixel, larger than the image."""
    boxes = random_boxes(6, seed, 70.0) - 10
    boxes[0, 2:] = boxes[0, :2] + 0.3
    masks = torch.rand(6, 14, 14, generator=torch.Generator().manual_seed(seed))
    expected = torch.stack([pasted(m, b, 50, 64) for m, b in zip(masks, boxes, strict=True)])
    assert torch.equal(paste_masks(masks, boxes, 50, 64), expected)


def tiny_stage(**options: object) -> tuple[MaskRcnn, Pyramid, Camera]:
    torch.manual_seed(1)
    config = MaskRcnnConfig.model_validate({"proposals": {"anchor_sizes_px": (32, 64)}, **options})
    stage = MaskRcnn(4, config).eval()
    maps = [torch.randn(1, 4, n, n) for n in (16, 8, 4, 2)]
    return stage, Pyramid(*maps), Camera.from_fov(60.0, 64, 64)


def test_every_image_ends_with_valid_instances() -> None:
    stage, pyramid, camera = tiny_stage(rois={"min_score": 0.0, "max_detections": 40}, confident_score=0.1)
    found = stage(pyramid, (camera,)).instances[0]
    assert len(found) >= 40
    assert found.masks.shape == (len(found), 64, 64)
    assert bool(((found.boxes_px >= 0) & (found.boxes_px <= 63)).all())
    assert found.class_ids.tolist() == sorted(found.class_ids.tolist())
    assert 0 < int(found.is_confident.sum()) < len(found)


def test_an_image_without_anything() -> None:
    stage, pyramid, camera = tiny_stage(rois={"min_score": 1.0})
    found = stage(pyramid, (camera,)).instances[0]
    assert len(found) == 0
    assert found.masks.shape == (0, 64, 64)


@pytest.mark.slow
def test_a_batch_is_its_images() -> None:
    stage, pyramid, camera = tiny_stage(rois={"min_score": 0.05})
    twice = Pyramid(*(torch.cat((m, m.flip(3))) for m in pyramid))
    together = stage(twice, (camera, camera)).instances
    alone = [stage(Pyramid(*(m[i : i + 1] for m in twice)), (camera,)).instances[0] for i in range(2)]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.boxes_px, b.boxes_px)
        torch.testing.assert_close(a.masks, b.masks)


def test_more_proposals_in_training() -> None:
    stage, pyramid, camera = tiny_stage()
    stage.proposals.config = ProposalConfig(
        anchor_sizes_px=(32, 64), num_before_nms=3, num_before_nms_training=20, nms_iou=1.1
    )
    maps = stage.proposals(pyramid.stride16)
    assert len(stage.proposals.select(maps, 0, camera.width, camera.height).scores) == 3
    more = stage.proposals.select(maps, 0, camera.width, camera.height, for_training=True)
    assert len(more.scores) == 20
