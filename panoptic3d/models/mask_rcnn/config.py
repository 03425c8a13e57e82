"""What may be set of the single-level Mask R-CNN. Defaults are PanoRecon's (its appendix B)."""

from typing import Literal

from pydantic import Field

from panoptic3d.backbones.norms import NormName
from panoptic3d.config import Config
from panoptic3d.models.pipeline_config import PanopticSlot


class ProposalConfig(Config):
    anchor_sizes_px: tuple[int, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height over width
    stride_px: int = 16
    num_before_nms: int = Field(default=250, ge=1)
    num_after_nms: int = Field(default=250, ge=1)
    num_before_nms_training: int = Field(default=500, ge=1)
    num_after_nms_training: int = Field(default=500, ge=1)
    nms_iou: float = 0.3


class RoiConfig(Config):
    norm: NormName = "frozen"
    width: int = Field(default=512, ge=8, multiple_of=4)  # channels that the residual stages give
    num_classes: int = 13  # with background
    pooled_size: int = 14
    samples_per_bin: int = 2
    box_code_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    min_score: float = 0.3
    nms_iou: float = 0.3
    max_detections: int = Field(default=100, ge=1)


class MaskRcnnConfig(PanopticSlot):
    name: Literal["mask-rcnn"] = "mask-rcnn"
    proposals: ProposalConfig = ProposalConfig()
    rois: RoiConfig = RoiConfig()
    confident_score: float = 0.5  # above, a detection is lifted
