"""The terms of a Mask R-CNN on a batch: anchors and boxes are matched with the truth and sampled, image by image.

The heads see the sampled boxes of all images at once, and the terms of each image are its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.engine.methods.panorecon.config import ImageObjectiveConfig
from panoptic3d.engine.methods.panorecon.image_truth import ImageTruth
from panoptic3d.geometry.boxes import encode, is_inside
from panoptic3d.losses.detection_matching import match_boxes, sampled
from panoptic3d.losses.detection_terms import (
    anchor_box_term,
    mask_targets,
    objectness_term,
    roi_box_term,
    roi_class_term,
    roi_mask_term,
)
from panoptic3d.models.mask_rcnn.proposals import CODE_WEIGHTS, ProposalMaps
from panoptic3d.models.mask_rcnn.stage import MaskRcnn

Stream = Callable[[str, int], torch.Generator]  # by what is drawn and the member of the batch


@dataclass(frozen=True, eq=False)
class SampledBoxes:
    """The boxes of one image that the detector is trained on, positives first."""

    boxes_px: Float[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]  # 0 for background
    truth: Int64[Tensor, " p"]  # instance of each positive box

    @property
    def num_positive(self) -> int:
        return len(self.truth)


def detection_terms(
    detector: MaskRcnn,
    features: Float[Tensor, "b c h w"],
    truths: Sequence[ImageTruth],
    config: ImageObjectiveConfig,
    stream: Stream,
) -> list[dict[str, Tensor]]:
    """Unweighted terms of each image."""
    maps = detector.proposals(features)
    drawn = [sampled_boxes(detector, maps, member, truth, config, stream) for member, truth in enumerate(truths)]
    terms = [anchor_terms(maps, member, truth, config, stream) for member, truth in enumerate(truths)]
    pooled = torch.cat([detector.pool(features[i], boxes.boxes_px) for i, boxes in enumerate(drawn)])
    logits, codes = detector.box_head(pooled)
    sizes = [len(boxes.labels) for boxes in drawn]
    mask_logits = _mask_logits(detector, pooled, drawn)
    rows = zip(logits.split(sizes), codes.split(sizes), mask_logits, drawn, truths, terms, strict=True)
    for member_logits, member_codes, masks, boxes, truth, said in rows:
        said |= roi_terms(detector, member_logits, member_codes, masks, boxes, truth, config)
    return terms


def anchor_terms(
    maps: ProposalMaps, member: int, truth: ImageTruth, config: ImageObjectiveConfig, stream: Stream
) -> dict[str, Tensor]:
    """Anchors that cross the border of the image learn nothing."""
    matches = match_boxes(maps.anchors, truth.boxes_px, config.anchors)
    is_eligible = is_inside(maps.anchors, truth.camera.width, truth.camera.height)
    positive, negative = sampled(matches, is_eligible, config.anchors, stream("anchors", member))
    logits, codes = maps.flat_logits[member], maps.flat_regression[member]
    wanted = encode(truth.boxes_px[matches.truth[positive]], maps.anchors[positive], CODE_WEIGHTS)
    return {
        "rpn_objectness": objectness_term(logits[positive], logits[negative]),
        "rpn_boxes": anchor_box_term(codes[positive], wanted, len(positive) + len(negative)),
    }


@torch.no_grad()
def sampled_boxes(
    detector: MaskRcnn,
    maps: ProposalMaps,
    member: int,
    truth: ImageTruth,
    config: ImageObjectiveConfig,
    stream: Stream,
) -> SampledBoxes:
    """Proposals and the true boxes themselves, so that there is something to learn from in the first steps."""
    camera = truth.camera
    proposals = detector.proposals.select(maps, member, camera.width, camera.height, for_training=True)
    boxes = torch.cat((proposals.boxes_px, truth.boxes_px))
    matches = match_boxes(boxes, truth.boxes_px, config.rois)
    every = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    positive, negative = sampled(matches, every, config.rois, stream("boxes", member))
    which = matches.truth[positive]
    background = torch.zeros(len(negative), dtype=torch.int64, device=boxes.device)
    labels = torch.cat((truth.class_ids[which], background))
    return SampledBoxes(boxes[torch.cat((positive, negative))], labels, which)


def roi_terms(
    detector: MaskRcnn,
    logits: Float[Tensor, "n classes"],
    codes: Float[Tensor, "n classes4"],
    mask_logits: Float[Tensor, "p classes m m"],
    boxes: SampledBoxes,
    truth: ImageTruth,
    config: ImageObjectiveConfig,
) -> dict[str, Tensor]:
    positive_boxes = boxes.boxes_px[: boxes.num_positive]
    code_weights = detector.config.rois.box_code_weights
    wanted = encode(truth.boxes_px[boxes.truth], positive_boxes, code_weights)
    masks = mask_targets(truth.things.masks[boxes.truth], positive_boxes, mask_logits.shape[-1])
    weights = logits.new_tensor((config.background_weight, *config.class_weights))
    return {
        "roi_classes": roi_class_term(logits, boxes.labels, weights),
        "roi_boxes": roi_box_term(codes, boxes.labels, wanted),
        "roi_masks": roi_mask_term(mask_logits, boxes.labels[: boxes.num_positive], masks),
    }


def _mask_logits(
    detector: MaskRcnn, pooled: Float[Tensor, "n c s s"], drawn: Sequence[SampledBoxes]
) -> tuple[Float[Tensor, "_ classes m m"], ...]:
    """Mask logits of the positives of each image. Without positives skip the head: BatchNorm rejects an empty batch."""
    split = pooled.split([len(boxes.labels) for boxes in drawn])
    positive = torch.cat([part[: boxes.num_positive] for part, boxes in zip(split, drawn, strict=True)])
    rois = detector.config.rois
    size = rois.pooled_size
    logits = detector.mask_head(positive) if len(positive) else pooled.new_zeros((0, rois.num_classes, size, size))
    return logits.split([boxes.num_positive for boxes in drawn])
