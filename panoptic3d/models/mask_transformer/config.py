"""The widths and switches of the mask transformer. Section numbers are those of Uni-3D's specification in docs/uni3d.md."""

from typing import Literal

from pydantic import Field, model_validator

from panoptic3d.config import Config
from panoptic3d.models.pipeline_config import PanopticSlot, PipelineConfig, RaySlot


class PixelDecoderConfig(Config):
    """Deformable attention over strides 32, 16 and 8, then one step of a feature pyramid to stride 4 (section 3.2)."""

    width: int = Field(default=256, ge=8, multiple_of=8)
    num_layers: int = Field(default=6, ge=1)
    num_heads: int = Field(default=8, ge=1)
    num_points: int = Field(default=4, ge=1)
    hidden: int = Field(default=1024, ge=1)
    norm_groups: int = Field(default=32, ge=1)

    @model_validator(mode="after")
    def _divides(self) -> "PixelDecoderConfig":
        for name in ("num_heads", "norm_groups"):
            if self.width % getattr(self, name):
                raise ValueError(f"width is {self.width}, which {name} {getattr(self, name)} does not divide")
        return self


class JointDecoderConfig(Config):
    """Two streams of queries, one for segments and one for their depth (section 3.3)."""

    num_queries: int = Field(default=100, ge=1)
    num_layers: int = Field(default=9, ge=1)
    num_heads: int = Field(default=8, ge=1)
    hidden: int = Field(default=2048, ge=1)
    depth_scale_m: float = Field(default=25.0, gt=0)


class MergeConfig(Config):
    """Which queries are trusted, and which of them become segments (section 4)."""

    min_score: float = Field(default=0.8, ge=0, lt=1)
    min_overlap: float = Field(default=0.8, ge=0, le=1)
    # Whether a query of class void may become a segment of the image, as in the reference (section 11, 9).
    void: Literal["kept", "dropped"] = "dropped"


class MaskTransformerConfig(PanopticSlot):
    name: Literal["mask-transformer"] = "mask-transformer"
    num_classes: int = Field(default=13, ge=1)  # void included; "no object" comes after them
    pixel_decoder: PixelDecoderConfig = PixelDecoderConfig()
    joint_decoder: JointDecoderConfig = JointDecoderConfig()
    merge: MergeConfig = MergeConfig()
    # Where features are read for a pixel of the depth map: "released" lies half a cell beside it and mixes the first row and
    # column with zeros (section 11, 3), "exact" at the pixel's centre.
    sampling: Literal["released", "exact"] = "exact"

    @model_validator(mode="after")
    def _heads_divide(self) -> "MaskTransformerConfig":
        if self.pixel_decoder.width % self.joint_decoder.num_heads:
            raise ValueError("joint_decoder.num_heads must divide pixel_decoder.width")
        return self

    @property
    def num_query_channels(self) -> int:
        return self.pixel_decoder.width

    def misfit(self, method: PipelineConfig) -> str | None:
        if self.num_classes == len(method.classes):
            return None
        return f"panoptic.num_classes is {self.num_classes} and the taxonomy has {len(method.classes)}; make them equal"


class SegmentDepthConfig(RaySlot):
    """Nothing to set: the panoptic stage has composed depth and features."""

    name: Literal["segments"] = "segments"

    def num_lifted(self, method: PipelineConfig) -> int:
        return 2 * method.panoptic.num_query_channels
