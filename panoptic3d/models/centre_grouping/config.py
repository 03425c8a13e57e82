"""The switches and thresholds of the decoder. Section numbers are those of BUOL's specification in docs/buol.md."""

from typing import Literal

from pydantic import Field

from panoptic3d.geometry.frustum import FAR_M, NEAR_M
from panoptic3d.models.pipeline_config import DecodeSlot, PipelineConfig
from panoptic3d.sparse.resampling import Placement


class CentreGroupingConfig(DecodeSlot):
    name: Literal["centres"] = "centres"
    # Whose centres voxels join: those of the instances in the "image", or the "seeds" that a voxel net has found in the
    # volume, as the image would show them.
    centres: Literal["image", "seeds"] = "image"
    # Where a voxel's point lies: "released" is the frustum's box with whole padding (section 2.1), "exact" the grid.
    registration: Literal["released", "exact"] = "exact"
    # Where the values of a coarse level lie in its cells: "corners" stretches them over the grid (section 6.3).
    resample: Placement = "centres"
    # What a surface voxel without a label takes: the "first" labelled one of offsets -3..2 in the order of section 9.3, or
    # the "nearest" within the same reach on both sides.
    fill: Literal["first", "nearest"] = "nearest"
    min_occupancy_logit: float = 0.0  # a voxel has a surface near it if it has more
    surface_vox: float = Field(default=1.5, gt=0)  # voxels nearer than that are grouped; 2 on Matterport3D
    min_stuff_vox: int = Field(default=64, ge=0)
    min_segment_vox: int = Field(default=100, ge=0)
    fill_reach_vox: int = Field(default=3, ge=0)
    truncation_vox: float = 3.0
    near_m: float = NEAR_M
    far_m: float = FAR_M

    def misfit(self, method: PipelineConfig) -> str | None:
        if self.centres == "image" or hasattr(method.voxel_net, "seeds"):
            return None
        return f"decode.centres is 'seeds' and voxel_net {method.voxel_net.name!r} finds none; choose 'image'"
