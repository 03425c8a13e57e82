"""Settings of Uni-3D's training (section 7 of its specification)."""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config
from panoptic3d.losses.query_matching import QueryMatchingConfig
from panoptic3d.losses.voxel_objective import CurriculumConfig
from panoptic3d.models.uni3d.config import Uni3dConfig


class QueryTermsConfig(Config):
    """Weights of the 2D stage's loss terms. Each term is applied to the prediction after every decoder layer."""

    class_weight: float = Field(default=2.0, ge=0)
    mask_weight: float = Field(default=5.0, ge=0)
    dice_weight: float = Field(default=5.0, ge=0)
    depth_weight: float = Field(default=5.0, ge=0)
    no_object_weight: float = Field(default=0.1, gt=0)
    matching: QueryMatchingConfig = QueryMatchingConfig()
    # Where masks are compared: "uncertain" points are drawn anew for every step, mask and layer; the "grid" is a fixed one.
    points: Literal["uncertain", "grid"] = "uncertain"
    num_points: int = Field(default=12_544, ge=1)
    oversample: float = Field(default=3.0, ge=1)
    uncertain_share: float = Field(default=0.75, ge=0, le=1)


class QueryVoxelTermsConfig(Config):
    occupancy_64_weight: float = Field(default=50.0, ge=0)
    occupancy_128_weight: float = Field(default=25.0, ge=0)
    occupancy_256_weight: float = Field(default=10.0, ge=0)
    instance_weight: float = Field(default=25.0, ge=0)
    distance_weight: float = Field(default=5.0, ge=0)  # 10 on Matterport3D
    truncation_vox: float = 3.0


class PooledSupplyConfig(Config):
    """Inputs of the voxel net in training. Segments are always the true ones."""

    depth: Literal["network", "truth"] = "network"


class PooledQuerySettings(Config):
    """For `PooledQueryMethod`: a network whose panoptic slot is filled by `pixel-queries`."""

    network: Uni3dConfig
    supply: PooledSupplyConfig = PooledSupplyConfig()
    voxel_terms: QueryVoxelTermsConfig = QueryVoxelTermsConfig()
    min_pixels: int = Field(default=200, ge=0)  # smaller things are no targets; counted at the network's input size
    curriculum: CurriculumConfig = CurriculumConfig(steps_64=0, steps_128=0)
    seed: int = 0


class Uni3dSettings(Config):
    """Settings of `Uni3dMethod`. The stages of a run choose which parts train."""

    network: Uni3dConfig = Uni3dConfig()
    image_terms: QueryTermsConfig = QueryTermsConfig()
    voxel_terms: QueryVoxelTermsConfig = QueryVoxelTermsConfig()
    min_pixels: int = Field(
        default=200, ge=0
    )  # smaller things are no targets; counted at the network's input size; 0 on Matterport3D
    # The norms of the trunk while the voxel net trains: "frozen", or "drifting" as in the reference, whose frozen 2D stage
    # stays in training mode: statistics of the batch, and running ones that move on (section 11, 18).
    frozen_norms: Literal["frozen", "drifting"] = "frozen"
    imagenet_file: str = ""  # local weights of the trunk to begin with: torchvision's, or detectron2's as .pth or .pkl
    # Steps for which the voxel net ends at a level. The reference has none: on 8 GPUs it can afford a network that at first
    # takes the whole frustum for occupied.
    curriculum: CurriculumConfig = CurriculumConfig(steps_64=0, steps_128=0)
    seed: int = 0  # of the draws of points
