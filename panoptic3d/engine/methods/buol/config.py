"""Settings of BUOL's training (sections 3, 7 and 8 of its specification)."""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config
from panoptic3d.data.centre_targets import CentreScale
from panoptic3d.models.buol.config import BuolConfig

# Of the voxels that fall into one cell of a plane: that of the "last" one in the released order counts (section 3.2), or
# "any" that is occupied.
PlaneTarget = Literal["last", "any"]


class BuolObjectiveConfig(Config):
    """Weights of the twelve terms, and what the targets are."""

    semantic_2d_weight: float = Field(default=1.0, ge=0)
    centre_2d_weight: float = Field(default=200.0, ge=0)
    offset_2d_weight: float = Field(default=0.01, ge=0)
    depth_weight: float = Field(default=10.0, ge=0)  # of its three terms
    planes_weight: float = Field(default=0.1, ge=0)
    occupancy_weight: float = Field(default=10.0, ge=0)
    semantic_weight: float = Field(default=1.0, ge=0)
    centre_weight: float = Field(default=200.0, ge=0)
    offset_weight: float = Field(default=0.01, ge=0)
    distance_weight: float = Field(default=1.0, ge=0)
    small_thing_weight: float = Field(default=3.0, ge=0)  # of its pixels' classes; 1 on Matterport3D
    plane_target: PlaneTarget = "any"
    # Centres of the image on the map of half its size: "halved" is a quarter of a pixel off, "exact" is not.
    centres: CentreScale = "exact"


class SupplyConfig(Config):
    """Inputs of the 3D stage in training: the network's own maps, or true ones."""

    maps: Literal["network", "truth"] = "network"


class BuolSettings(Config):
    """Defaults are the corrected ones. What is trained is the business of the stages of a run: see `BuolMethod`."""

    network: BuolConfig = BuolConfig()
    terms: BuolObjectiveConfig = BuolObjectiveConfig()
    supply: SupplyConfig = SupplyConfig()


# The reference's, beside the switches of its network (`FAITHFUL` of models/buol/config.py).
FAITHFUL_TRAINING = {"terms": {"plane_target": "last", "centres": "halved"}}
