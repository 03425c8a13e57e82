"""The whole method as one config: a filling a slot, and two named sets of switches."""

from typing import Literal

from pydantic import Field, model_validator

from panoptic3d.backbones.norms import NormName
from panoptic3d.config import Config
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.mask_rcnn.config import MaskRcnnConfig
from panoptic3d.models.panorecon.fit import FitConfig
from panoptic3d.models.surface_lift.config import SurfaceLiftConfig
from panoptic3d.models.up_projection.decoder import UpProjectionConfig

Mode = Literal["faithful", "corrected"]


class TrunkConfig(Config):
    name: Literal["resnet18"] = "resnet18"
    norm: NormName = "frozen"
    width: int = Field(default=64, ge=16, multiple_of=16)  # channels of the finest map


class PanoReconConfig(Config):
    """`method` tells this model's files from those of others. Defaults of the switches are the corrected ones."""

    method: Literal["panorecon"] = "panorecon"
    taxonomy: Literal["front3d", "matterport3d"] = "front3d"
    fit: FitConfig = FitConfig()
    trunk: TrunkConfig = TrunkConfig()
    panoptic: MaskRcnnConfig = MaskRcnnConfig()
    rays: UpProjectionConfig = UpProjectionConfig()
    lift: SurfaceLiftConfig = SurfaceLiftConfig()
    voxel_net: FrustumUNetConfig = FrustumUNetConfig()
    decode: InstanceDecodeConfig = InstanceDecodeConfig()

    @model_validator(mode="after")
    def _slots_agree(self) -> "PanoReconConfig":
        lifted, read = self.lift.num_instance_channels, self.voxel_net.num_instances
        if lifted != read:
            raise ValueError(
                f"lift.num_instance_channels is {lifted} and voxel_net.num_instances {read}; make them equal"
            )
        lifted, read = self.rays.num_features, self.voxel_net.num_features
        if lifted != read:
            raise ValueError(
                f"rays give {lifted} features a pixel and voxel_net.num_features is {read}; make them equal"
            )
        return self


# What the published weights were trained with (section 10). `corrected` is what `PanoReconConfig` is by default, save for the
# kernels: weights that have learnt a one-sided kernel keep it in either mode.
FAITHFUL = {
    "fit": {"resize": "stretched", "camera": "front3d"},
    "lift": {
        "registration": "released",
        "winner": "first",
        "depth": "free",
        "overflow": "first",
        "frustum": "released",
    },
    "voxel_net": {"even_kernels": "one-sided", "last_index": "dropped", "level_64": "grid"},
    "decode": {"channels": "detections", "fill": "first", "clean": "nothing", "score": "detection"},
}
CORRECTED = {"voxel_net": {"even_kernels": "one-sided"}}


def config_for_published_weights(mode: Mode, norm: NormName = "frozen") -> PanoReconConfig:
    """What runs imported weights, with their quirks or without them."""
    norms = {"trunk": {"norm": norm}, "rays": {"norm": norm}, "panoptic": {"rois": {"norm": norm}}}
    return PanoReconConfig.model_validate((FAITHFUL if mode == "faithful" else CORRECTED) | norms)
