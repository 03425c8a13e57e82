"""Widths and switches of the voxel net. Section numbers are those of BUOL's specification in docs/buol.md."""

from typing import Literal

from pydantic import Field, model_validator

from panoptic3d.config import Config
from panoptic3d.models.pipeline_config import PipelineConfig, VoxelNetSlot
from panoptic3d.sparse.config import SparseConfig


class PredictorConfig(Config):
    """One of the three decoders."""

    channels: int = Field(default=32, ge=1)
    skip_channels: tuple[int, ...] = (64, 32, 16)  # of strides 8, 4, 2, and 1 if the heads are there
    dilations: tuple[int, int, int] = (3, 6, 9)  # at stride 16
    dropout: float = Field(default=0.5, ge=0, lt=1)


class SparseDeepLabConfig(VoxelNetSlot):
    name: Literal["sparse-deeplab"] = "sparse-deeplab"
    num_classes: int = Field(default=13, ge=2)
    stem_channels: int = Field(
        default=16, ge=1
    )  # of each of the three stems; the trunk has 2, 4, 8 and 16 times as many
    semantic: PredictorConfig = PredictorConfig(channels=64)
    instance: PredictorConfig = PredictorConfig()
    geometry: PredictorConfig = PredictorConfig()
    # Which way i and j run inside: "released" against the camera's x and y, as the published weights learnt it (kernels of
    # even size and corners of cells are not symmetric), or as the "camera" does.
    frame: Literal["released", "camera"] = "camera"
    finest_stride: Literal[1, 2] = 2  # of the heads: voxels of 3 or of 6 cm
    margin_vox: int = Field(default=2, ge=0)  # the network also predicts this many voxels around the lifted ones
    sparse: SparseConfig = SparseConfig(tile=4)  # kernels of 5^3: products are most of the time

    @model_validator(mode="after")
    def _steps_agree(self) -> "SparseDeepLabConfig":
        wanted = 3 if self.finest_stride == 2 else 4
        for name in ("semantic", "instance", "geometry"):
            seen = getattr(self, name).skip_channels
            if len(seen) != wanted:
                raise ValueError(
                    f"{name}.skip_channels has {len(seen)} numbers; heads at stride {self.finest_stride} need {wanted}"
                )
        return self

    def misfit(self, method: PipelineConfig) -> str | None:
        if self.num_classes != len(method.classes):
            return f"voxel_net.num_classes is {self.num_classes} and the taxonomy has {len(method.classes)}; make them equal"
        lifted = getattr(method.lift, "frame", self.frame)
        if lifted != self.frame:
            return f"lift.frame is {lifted!r} and voxel_net.frame {self.frame!r}; make them equal"
        return None

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the upsampling steps."""
        return (8, 4, 2) if self.finest_stride == 2 else (8, 4, 2, 1)
