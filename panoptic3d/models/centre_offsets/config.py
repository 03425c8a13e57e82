"""Widths of the two decoders, and the thresholds that turn their maps into instances. Defaults are BUOL's."""

from typing import Literal

from pydantic import Field

from panoptic3d.backbones.norms import NormName
from panoptic3d.config import Config
from panoptic3d.models.pipeline_config import PanopticSlot, PipelineConfig


class DecoderConfig(Config):
    """An atrous spatial pyramid on the coarsest map, three fusion steps up to stride 4, a head for each output."""

    dilations: tuple[int, int, int] = (3, 6, 9)
    pyramid_channels: int = Field(default=256, ge=1)
    skip_channels: tuple[int, int, int] = (128, 64, 32)  # of strides 16, 8, 4
    channels: int = Field(default=256, ge=1)
    head_channels: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class CentreOffsetsConfig(PanopticSlot):
    name: Literal["centre-offsets"] = "centre-offsets"
    norm: NormName = "batch"
    num_classes: int = Field(default=13, ge=2)
    semantic: DecoderConfig = DecoderConfig()
    instance: DecoderConfig = DecoderConfig(skip_channels=(64, 32, 16), channels=128, head_channels=32)
    min_heat: float = 0.1  # a peak of the heat map has more
    peak_window_px: int = Field(default=7, ge=1)  # an odd number; a peak is the maximum of its window
    max_centres: int = Field(default=200, ge=1)
    min_stuff_px: int = Field(default=64, ge=0)  # of the panoptic image alone: the volume has a limit of its own

    def misfit(self, method: PipelineConfig) -> str | None:
        if self.num_classes != len(method.classes):
            return f"panoptic.num_classes is {self.num_classes} and the taxonomy has {len(method.classes)}; make them equal"
        return None
