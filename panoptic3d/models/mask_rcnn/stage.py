"""The whole stage: proposals, boxes with classes, masks."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.geometry.boxes import clip, decode, non_maximum_suppression
from panoptic3d.models.mask_rcnn.config import MaskRcnnConfig
from panoptic3d.models.mask_rcnn.mask_paste import paste_masks
from panoptic3d.models.mask_rcnn.proposals import ProposalNetwork, Proposals
from panoptic3d.models.mask_rcnn.roi_align import roi_align
from panoptic3d.models.mask_rcnn.roi_heads import BoxHead, MaskHead
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D


@dataclass(frozen=True, eq=False)
class Boxes:
    """Classified boxes of one image: by class, then in the order of the proposals. This order numbers the instances."""

    boxes_px: Float[Tensor, "n 4"]
    class_ids: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]


class MaskRcnn(nn.Module):
    config_kind: ClassVar = MaskRcnnConfig

    @classmethod
    def built(cls, config: MaskRcnnConfig, method: PipelineConfig) -> "MaskRcnn":
        return cls(method.channels[2], config)

    def __init__(self, num_in: int, config: MaskRcnnConfig) -> None:
        super().__init__()
        self.config = config
        self.proposals = ProposalNetwork(num_in, config.proposals)
        self.box_head = BoxHead(num_in, config.rois)
        self.mask_head = MaskHead(num_in, config.rois)

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        maps = self.proposals(pyramid.stride16)
        found = []
        for member, camera in enumerate(cameras):
            proposals = self.proposals.select(maps, member, camera.width, camera.height)
            found.append(self.detect(pyramid.stride16[member], proposals, camera))
        return Panoptic2D(tuple(found))

    def detect(self, features: Float[Tensor, "c h w"], proposals: Proposals, camera: Camera) -> Instances2D:
        """The instances of one image."""
        logits, codes = self.box_head(self.pool(features, proposals.boxes_px))
        boxes = self.select_boxes(logits, codes, proposals.boxes_px, camera)
        mask_logits = MaskHead.of_class(self.mask_head(self.pool(features, boxes.boxes_px)), boxes.class_ids)
        return Instances2D(
            camera=camera,
            boxes_px=boxes.boxes_px,
            class_ids=boxes.class_ids,
            scores=boxes.scores,
            masks=paste_masks(mask_logits.sigmoid(), boxes.boxes_px, camera.height, camera.width),
            is_confident=boxes.scores > self.config.confident_score,
        )

    def pool(self, features: Float[Tensor, "c h w"], boxes_px: Float[Tensor, "n 4"]) -> Float[Tensor, "n c s s"]:
        rois = self.config.rois
        scale = 1 / self.config.proposals.stride_px
        return roi_align(features, boxes_px, scale, rois.pooled_size, rois.samples_per_bin)

    def select_boxes(
        self,
        logits: Float[Tensor, "n classes"],
        codes: Float[Tensor, "n classes4"],
        proposals_px: Float[Tensor, "n 4"],
        camera: Camera,
    ) -> Boxes:
        """Every class of every proposal competes within its class."""
        rois = self.config.rois
        every = codes.unflatten(1, (rois.num_classes, 4))
        boxes = decode(every, proposals_px[:, None].expand_as(every), rois.box_code_weights)
        boxes = clip(boxes, camera.width, camera.height).transpose(0, 1)
        scores = logits.softmax(dim=1).t()
        class_ids, rows = (scores[1:] > rois.min_score).nonzero(as_tuple=True)
        class_ids = class_ids + 1
        boxes, scores = boxes[class_ids, rows], scores[class_ids, rows]
        kept = non_maximum_suppression(boxes, scores, rois.nms_iou, groups=class_ids)
        kept = kept[_is_among_best(scores[kept], rois.max_detections)]
        return Boxes(boxes[kept], class_ids[kept], scores[kept])


def _is_among_best(scores: Float[Tensor, " n"], count: int) -> Bool[Tensor, " n"]:
    """Ties with the last one stay."""
    if len(scores) <= count:
        return torch.ones_like(scores, dtype=torch.bool)
    return scores >= scores.topk(count).values[-1]
