"""The whole method as one config: a filling a slot, and two named sets of switches."""

from typing import Literal

from pydantic import Field, model_validator

from panoptic3d.backbones.norms import NormName
from panoptic3d.config import Config
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_offsets.config import CentreOffsetsConfig
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.panorecon.fit import FitConfig
from panoptic3d.models.sparse_deeplab.config import SparseDeepLabConfig
from panoptic3d.models.up_projection.decoder import UpProjectionConfig

Mode = Literal["faithful", "corrected"]


class TrunkConfig(Config):
    name: Literal["resnet50"] = "resnet50"
    norm: NormName = "batch"
    width: int = Field(default=64, ge=4)


class BuolConfig(Config):
    """`method` tells this model's files from those of others. Defaults of the switches are the corrected ones."""

    method: Literal["buol"] = "buol"
    taxonomy: Literal["front3d", "matterport3d"] = "front3d"
    fit: FitConfig = FitConfig()
    trunk: TrunkConfig = TrunkConfig()
    panoptic: CentreOffsetsConfig = CentreOffsetsConfig()
    rays: UpProjectionConfig = UpProjectionConfig(norm="batch", num_climbed=64, num_planes=100)
    lift: OccupancyLiftConfig = OccupancyLiftConfig()
    voxel_net: SparseDeepLabConfig = SparseDeepLabConfig()
    decode: CentreGroupingConfig = CentreGroupingConfig()

    @model_validator(mode="after")
    def _slots_agree(self) -> "BuolConfig":
        if not self.rays.num_planes:
            raise ValueError("rays.num_planes is 0, and this lift needs planes; the published network has 100")
        named, read = self.panoptic.num_classes, self.voxel_net.num_classes
        if named != read:
            raise ValueError(f"panoptic.num_classes is {named} and voxel_net.num_classes {read}; make them equal")
        lifted, read = self.lift.frame, self.voxel_net.frame
        if lifted != read:
            raise ValueError(f"lift.frame is {lifted!r} and voxel_net.frame {read!r}; make them equal")
        return self


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
    """What runs imported weights, with their quirks or without them."""
    return BuolConfig.model_validate(FAITHFUL if mode == "faithful" else CORRECTED)
