"""The region proposal network: where something may be."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.boxes import clip, decode, non_maximum_suppression
from panoptic3d.models.mask_rcnn.anchors import anchors_of_map, base_anchors
from panoptic3d.models.mask_rcnn.config import ProposalConfig

CODE_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class ProposalMaps:
    """Raw answers at every anchor, for the objective."""

    logits: Float[Tensor, "b a h w"]
    regression: Float[Tensor, "b a4 h w"]  # four numbers an anchor, anchor by anchor
    anchors: Float[Tensor, "n 4"]  # cell by cell, anchors innermost

    @property
    def flat_logits(self) -> Float[Tensor, "b n"]:
        """In the order of the anchors."""
        return self.logits.permute(0, 2, 3, 1).flatten(1)

    @property
    def flat_regression(self) -> Float[Tensor, "b n 4"]:
        batch, _, height, width = self.regression.shape
        split = self.regression.view(batch, -1, 4, height, width)
        return split.permute(0, 3, 4, 1, 2).reshape(batch, -1, 4)


@dataclass(frozen=True, eq=False)
class Proposals:
    """Proposals of one image, by descending score."""

    boxes_px: Float[Tensor, "n 4"]
    scores: Float[Tensor, " n"]


class ProposalNetwork(nn.Module):
    base: Tensor

    def __init__(self, num_in: int, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        base = base_anchors(config.stride_px, config.anchor_sizes_px, config.anchor_ratios)
        self.register_buffer("base", base, persistent=False)
        self.conv = nn.Conv2d(num_in, num_in, 3, padding=1)
        self.objectness = nn.Conv2d(num_in, len(base), 1)
        self.regression = nn.Conv2d(num_in, 4 * len(base), 1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> ProposalMaps:
        hidden = F.relu(self.conv(features))
        height, width = features.shape[2:]
        anchors = anchors_of_map(self.base, height, width, self.config.stride_px)
        return ProposalMaps(self.objectness(hidden), self.regression(hidden), anchors)

    def select(
        self, maps: ProposalMaps, member: int, width: int, height: int, *, for_training: bool = False
    ) -> Proposals:
        """The best boxes of one image of the batch, clipped to it; more of them where the heads learn from them."""
        before, after = self.config.num_before_nms, self.config.num_after_nms
        if for_training:
            before, after = self.config.num_before_nms_training, self.config.num_after_nms_training
        scores = maps.flat_logits[member].sigmoid()
        scores, rows = scores.topk(min(before, len(scores)))
        boxes = decode(maps.flat_regression[member, rows], maps.anchors[rows], CODE_WEIGHTS)
        boxes = clip(boxes, width, height)
        kept = non_maximum_suppression(boxes, scores, self.config.nms_iou)[:after]
        return Proposals(boxes[kept], scores[kept])
