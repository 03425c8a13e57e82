"""The whole method as one config: a filling a slot, and two named sets of switches."""

from typing import Literal

from pydantic import Field, model_validator

from panoptic3d.backbones.norms import NormName
from panoptic3d.config import Config
from panoptic3d.models.frustum_unet.query_config import QueryUNetConfig
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig
from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.uni3d.fit import PaddedFitConfig

Mode = Literal["faithful", "corrected"]
Scales = Literal["single", "multi"]


class Uni3dTrunkConfig(Config):
    name: Literal["resnet50"] = "resnet50"
    norm: NormName = "batch"
    width: int = Field(default=64, ge=8, multiple_of=8)  # a quarter of the channels of the finest map


class Uni3dConfig(Config):
    """`method` tells this model's files from those of others. Defaults of the switches are the corrected ones."""

    method: Literal["uni3d"] = "uni3d"
    taxonomy: Literal["front3d", "matterport3d"] = "front3d"
    fit: PaddedFitConfig = PaddedFitConfig()
    trunk: Uni3dTrunkConfig = Uni3dTrunkConfig()
    panoptic: MaskTransformerConfig = MaskTransformerConfig()
    lift: FeatureLiftConfig = FeatureLiftConfig()
    voxel_net: QueryUNetConfig = QueryUNetConfig()
    decode: QueryDecodeConfig = QueryDecodeConfig()

    @model_validator(mode="after")
    def _slots_agree(self) -> "Uni3dConfig":
        width = self.panoptic.pixel_decoder.width
        for ours, wanted, name in (
            (self.voxel_net.num_features, 2 * width, "num_features"),
            (self.voxel_net.num_query_channels, width, "num_query_channels"),
            (self.voxel_net.num_classes, self.panoptic.num_classes, "num_classes"),
        ):
            if ours != wanted:
                raise ValueError(f"voxel_net.{name} is {ours} where the panoptic stage gives {wanted}; make them equal")
        if self.lift.scales != self.voxel_net.scales:
            raise ValueError(
                f"lift.scales is {self.lift.scales} and voxel_net.scales {self.voxel_net.scales}; make them equal"
            )
        return self


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
    for slot in ("lift", "voxel_net"):
        tree.setdefault(slot, {})["scales"] = scales
    return Uni3dConfig.model_validate(tree)
