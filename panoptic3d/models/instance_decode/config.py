"""The switches and thresholds of the decoder."""

from typing import Literal

from pydantic import Field

from panoptic3d.models.pipeline_config import DecodeSlot


class InstanceDecodeConfig(DecodeSlot):
    name: Literal["instances"] = "instances"
    # Which instance channels may become things: those of all "detections", trusted or not, as the reference does (section
    # 5.1, 2), or those of the "lifted" ones.
    channels: Literal["detections", "lifted"] = "lifted"
    # What a surface voxel without a label takes: the "first" labelled one of offsets -3..2 in the order of the scan, or the
    # "nearest" within the same reach on both sides.
    fill: Literal["first", "nearest"] = "nearest"
    # Stuff that is made of voxels by their class: PanoRecon never makes a ceiling, on data that has one it should.
    stuff: Literal["wall-floor", "taxonomy"] = "wall-floor"
    # Pieces of a label that are too small give their voxels to what is around them, specks of surface in the air vanish.
    # "nothing" keeps all, as the reference does.
    clean: Literal["nothing", "fragments"] = "fragments"
    min_piece_vox: int = Field(default=20, ge=0)  # surface voxels
    min_piece_share: float = Field(default=0.05, ge=0, lt=1)  # of the surface of the label's largest piece
    min_island_vox: int = Field(default=40, ge=0)  # surface voxels of all labels together
    # Of a thing: that of its "detection", or that times the mean "agreement" of its voxels with it; stuff has the latter
    # alone, and no score without it.
    score: Literal["detection", "agreement"] = "agreement"
    # The predicted distance that stands for 1 voxel, as `calibration.calibrated_iso` measures it: a network that sees
    # every surface 0.2 voxels off has 1.2.
    iso_vox: float = Field(default=1.0, gt=0, lt=3)
    surface_vox: float = Field(default=1.5, gt=0)  # voxels at most this far from the surface get a label at any price
    fill_reach_vox: int = Field(default=3, ge=0)
    truncation_vox: float = 3.0
