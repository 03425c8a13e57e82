"""The switches of the lift of features. Section numbers are those of Uni-3D's specification in docs/uni3d.md."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from panoptic3d.geometry.frustum import FAR_M, NEAR_M
from panoptic3d.models.pipeline_config import LiftSlot, PipelineConfig


class FeatureLiftConfig(LiftSlot):
    name: Literal["features"] = "features"
    # "released": pixel c of the depth map is taken for pixel 2c of the photo, and voxels lie half a voxel (y) and one voxel
    # (z) short of the ground truth's grid (section 11, 1 and 2). "exact": the voxel nearest to the point in that grid.
    registration: Literal["released", "exact"] = "exact"
    # Of points in one voxel: "first" of the scan (pixels row by row, offsets innermost), or "nearest" to its voxel's centre.
    winner: Literal["first", "nearest"] = "nearest"
    # Cells of stride 4 that are evaluated: "released" is the shipped mask with its thin pooling, "exact" the camera's view.
    frustum: Literal["released", "exact"] = "exact"
    # Where the grid lies: that of 3D-Front for every camera, or the one that the releases would give to this camera.
    grid: Literal["front3d", "camera"] = "front3d"
    # "multi" also lifts the maps of strides 8, 16 and 32 to strides 2, 4 and 8 of the grid.
    scales: Literal["single", "multi"] = "single"
    reach_vox: int = Field(default=3, ge=0)  # copies of a pixel on both sides of its surface, along z
    near_m: float = NEAR_M
    far_m: float = FAR_M

    def widths(self, method: PipelineConfig) -> Mapping[str, int]:
        return {"distance": 2, "features": method.rays.num_lifted(method), "classes": len(method.classes)}
