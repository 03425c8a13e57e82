"""The whole method as one config: a filling a slot, and two named sets of switches."""

from typing import Annotated, Literal

from panoptic3d.backbones.pyramid import TrunkConfig
from panoptic3d.backbones.resnet50 import ResNet50Config
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_offsets.config import CentreOffsetsConfig
from panoptic3d.models.modes import Mode
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
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
from panoptic3d.models.sparse_deeplab.config import SparseDeepLabConfig
from panoptic3d.models.up_projection.decoder import UpProjectionConfig


class BuolConfig(PipelineConfig):
    """Defaults of the switches are the corrected ones."""

    method: Literal["buol"] = "buol"
    fit: Annotated[FitSlot, slot("fit", "photo")] = FitConfig()
    trunk: Annotated[TrunkConfig, slot("trunk", "resnet50")] = ResNet50Config()
    panoptic: Annotated[PanopticSlot, slot("panoptic", "centre-offsets")] = CentreOffsetsConfig()
    rays: Annotated[RaySlot, slot("rays", "up-projection")] = UpProjectionConfig(
        norm="batch", num_climbed=64, num_planes=100
    )
    lift: Annotated[LiftSlot, slot("lift", "occupancy")] = OccupancyLiftConfig()
    voxel_net: Annotated[VoxelNetSlot, slot("voxel_net", "sparse-deeplab")] = SparseDeepLabConfig()
    decode: Annotated[DecodeSlot, slot("decode", "centres")] = CentreGroupingConfig()


# What the published weights were trained with (section 12). `corrected` is what `BuolConfig` is by default, save for the
# frame: weights that have learnt a mirrored volume keep it in either mode.
FAITHFUL = {
    "fit": {"resize": "stretched", "camera": "front3d"},
    "lift": {
        "registration": "released",
        "pixel": "floor",
        "frustum": "released",
        "before_limit": "lost",
        "without_stuff": "nothing",
        "last_index": "dropped",
        "frame": "released",
    },
    "voxel_net": {"frame": "released"},
    "decode": {"registration": "released", "resample": "corners", "fill": "first"},
}
CORRECTED = {"lift": {"frame": "released"}, "voxel_net": {"frame": "released"}}


def config_for_published_weights(mode: Mode) -> BuolConfig:
    """Config for imported weights, with the quirks of the released code or without them."""
    return BuolConfig.model_validate(FAITHFUL if mode == "faithful" else CORRECTED)
