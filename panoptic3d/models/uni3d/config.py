"""The whole method as one config: a filling a slot, and two named sets of switches."""

from typing import Annotated, Literal

from panoptic3d.backbones.pyramid import TrunkConfig
from panoptic3d.backbones.resnet50 import ResNet50Config
from panoptic3d.models.frustum_unet.query_config import QueryUNetConfig
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig, SegmentDepthConfig
from panoptic3d.models.modes import Mode
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
from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.uni3d.fit import PaddedFitConfig

Scales = Literal["single", "multi"]


class Uni3dConfig(PipelineConfig):
    """Defaults of the switches are the corrected ones."""

    method: Literal["uni3d"] = "uni3d"
    fit: Annotated[FitSlot, slot("fit", "padded")] = PaddedFitConfig()
    trunk: Annotated[TrunkConfig, slot("trunk", "resnet50")] = ResNet50Config()
    panoptic: Annotated[PanopticSlot, slot("panoptic", "mask-transformer")] = MaskTransformerConfig()
    rays: Annotated[RaySlot, slot("rays", "segments")] = SegmentDepthConfig()
    lift: Annotated[LiftSlot, slot("lift", "features")] = FeatureLiftConfig()
    voxel_net: Annotated[VoxelNetSlot, slot("voxel_net", "query-unet")] = QueryUNetConfig()
    decode: Annotated[DecodeSlot, slot("decode", "queries")] = QueryDecodeConfig()


# What the published weights were trained with (section 11). `corrected` is what `Uni3dConfig` is by default, save for the
# kernels: weights that have learnt a one-sided kernel keep it in either mode.
FAITHFUL = {
    "fit": {"camera": "front3d"},
    "panoptic": {"sampling": "released", "merge": {"void": "kept"}},
    "lift": {"registration": "released", "winner": "first", "frustum": "released"},
    "voxel_net": {"even_kernels": "one-sided", "level_64": "grid"},
    "decode": {"fill": "best", "score": "query"},
}
CORRECTED = {"voxel_net": {"even_kernels": "one-sided"}}


def config_for_published_weights(mode: Mode, scales: Scales = "single") -> Uni3dConfig:
    """What runs imported weights, with their quirks or without them."""
    switches = FAITHFUL if mode == "faithful" else CORRECTED
    tree = {name: dict(values) for name, values in switches.items()}
    for name in ("lift", "voxel_net"):
        tree.setdefault(name, {})["scales"] = scales
    return Uni3dConfig.model_validate(tree)
