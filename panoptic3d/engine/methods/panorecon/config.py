"""Settings of PanoRecon's training (section 4 of its specification)."""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config
from panoptic3d.losses.detection_matching import AnchorMatchingConfig, RoiMatchingConfig
from panoptic3d.losses.voxel_objective import (
    FAITHFUL_OBJECTIVE,
    FRONT3D_CLASS_WEIGHTS,
    CurriculumConfig,
    VoxelObjectiveConfig,
)
from panoptic3d.models.panorecon.config import PanoReconConfig


class ImageObjectiveConfig(Config):
    """Terms of the 2D stage. Depth, detection and the 3D terms are added up."""

    depth_weight: float = Field(default=1.0, ge=0)
    detection_weight: float = Field(default=1.0, ge=0)
    planes_weight: float = Field(default=0.1, ge=0)  # BUOL's; for rays that have planes
    anchors: AnchorMatchingConfig = AnchorMatchingConfig()
    rois: RoiMatchingConfig = RoiMatchingConfig()
    # Of the classes of a box, background first. The reference takes those of voxels, where background weighs 0.001: its
    # detector then finds things everywhere, which its evaluation hides (section 10, 12 and 13).
    background_weight: float = Field(default=1.0, ge=0)
    class_weights: tuple[float, ...] = FRONT3D_CLASS_WEIGHTS[1:]


class SupplyConfig(Config):
    """Inputs of the 3D stage in training: the network's own predictions, or true ones."""

    depth: Literal["network", "truth"] = "network"
    # Of rays that have planes (a lift by occupancy reads them): the network's own, or those of the volume.
    planes: Literal["network", "truth"] = "network"
    # "matched": detections that cover a true mask by more than half, under its number; others are not lifted. "truth": the
    # masks themselves.
    instances: Literal["matched", "truth"] = "matched"
    # Which detection a true mask takes: the "first" that fits, as the reference does, or the one that fits "best".
    matching: Literal["first", "best"] = "best"
    # Numbers of instances, and so their channels: any at random, drawn anew at every step, so that no channel means
    # anything; or in the order of the ids in the files, for those who want to see a network learn by heart.
    numbers: Literal["shuffled", "in-order"] = "shuffled"
    min_pixels: int = Field(default=200, ge=0)  # smaller instances are no targets; counted at the network's input size
    max_instances: int | None = Field(default=15, ge=1)  # by ascending id; None: all, which then share channels


class PanoReconSettings(Config):
    """Defaults are the corrected ones. What is trained is the business of the stages of a run: see `PanoReconMethod`."""

    network: PanoReconConfig = PanoReconConfig()
    image_terms: ImageObjectiveConfig = ImageObjectiveConfig()
    supply: SupplyConfig = SupplyConfig()
    voxel_terms: VoxelObjectiveConfig = VoxelObjectiveConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    seed: int = 0  # of the draws of anchors, boxes and numbers


# The reference's, beside the switches of its network (`FAITHFUL` of models/panorecon/config.py).
FAITHFUL_TRAINING = {
    "image_terms": {"background_weight": FRONT3D_CLASS_WEIGHTS[0]},
    "supply": {"matching": "first"},
    "voxel_terms": FAITHFUL_OBJECTIVE,
}
