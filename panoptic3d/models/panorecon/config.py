"""Config of PanoRecon: the filling of each slot, and two named sets of switches."""

from typing import Annotated, Literal

from panoptic3d.backbones.norms import NormName
from panoptic3d.backbones.pyramid import TrunkConfig
from panoptic3d.backbones.resnet import ResNet18Config
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.mask_rcnn.config import MaskRcnnConfig
from panoptic3d.models.modes import Mode
from panoptic3d.models.panorecon.fit import FitConfig
from panoptic3d.models.pipeline_config import (
    DecodeSlot,
    FitSlot,
    LiftSlot,
    PanopticSlot,
    PipelineConfig,
    RaySlot,
    VoxelNetSlot,
    slot,
)
from panoptic3d.models.surface_lift.config import SurfaceLiftConfig
from panoptic3d.models.up_projection.decoder import UpProjectionConfig


class PanoReconConfig(PipelineConfig):
    """Defaults of the switches are the corrected ones."""

    method: Literal["panorecon"] = "panorecon"
    fit: Annotated[FitSlot, slot("fit", "photo")] = FitConfig()
    trunk: Annotated[TrunkConfig, slot("trunk", "resnet18")] = ResNet18Config()
    panoptic: Annotated[PanopticSlot, slot("panoptic", "mask-rcnn")] = MaskRcnnConfig()
    rays: Annotated[RaySlot, slot("rays", "up-projection")] = UpProjectionConfig()
    lift: Annotated[LiftSlot, slot("lift", "surface")] = SurfaceLiftConfig()
    voxel_net: Annotated[VoxelNetSlot, slot("voxel_net", "frustum-unet")] = FrustumUNetConfig()
    decode: Annotated[DecodeSlot, slot("decode", "instances")] = InstanceDecodeConfig()


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
