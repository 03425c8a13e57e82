"""The switches and thresholds of the decoder."""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config


class InstanceDecodeConfig(Config):
    # Which instance channels may become things: those of all "detections", trusted or not, as the reference does (section
    # 5.1, 2), or those of the "lifted" ones.
    channels: Literal["detections", "lifted"] = "lifted"
    # What a surface voxel without a label takes: the "first" labelled one of offsets -3..2 in the order of the scan, or the
    # "nearest" within the same reach on both sides.
    fill: Literal["first", "nearest"] = "nearest"
    # Stuff that is made of voxels by their class: PanoRecon never makes a ceiling, on data that has one it should.
    stuff: Literal["wall-floor", "taxonomy"] = "wall-floor"
    surface_vox: float = Field(default=1.5, gt=0)  # voxels at most this far from the surface get a label at any price
    fill_reach_vox: int = Field(default=3, ge=0)
    truncation_vox: float = 3.0
