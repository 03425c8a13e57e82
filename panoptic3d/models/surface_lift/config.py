"""The switches of the lift. Section numbers are those of PanoRecon's specification in docs/panorecon.md."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from panoptic3d.geometry.frustum import FAR_M, NEAR_M
from panoptic3d.models.pipeline_config import LiftSlot, PipelineConfig

# For more detections than channels: "first" lifts as many as fit; with "shared" several use one, and the decoder parts them.
Overflow = Literal["first", "shared"]


class SurfaceLiftConfig(LiftSlot):
    name: Literal["surface"] = "surface"
    # "released": corner of the frustum's box plus whole padding, rounded down, which sits 0.4 to 1.1 voxels short.
    # "exact": the voxel nearest to the point in the grid of the ground truth.
    registration: Literal["released", "exact"] = "exact"
    # Of points in one voxel: "first" of the scan (pixels row by row, offsets innermost), or "nearest" to its voxel's centre.
    winner: Literal["first", "nearest"] = "nearest"
    # "free" trusts the network (what leaves the grid is dropped), "clamped" moves depth to the ends of the frustum.
    depth: Literal["free", "clamped"] = "clamped"
    overflow: Overflow = "shared"
    # Cells of stride 4 that are evaluated: "released" is the shipped mask with its thin pooling, "exact" the camera's view.
    frustum: Literal["released", "exact"] = "exact"
    # Where the grid lies: that of 3D-Front for every camera, or the one that the releases would give to this camera.
    grid: Literal["front3d", "camera"] = "front3d"
    num_instance_channels: int = Field(default=16, ge=2)  # the first is "no instance"
    num_copies: int = Field(default=7, ge=1)  # voxels along z, an odd number
    near_m: float = NEAR_M
    far_m: float = FAR_M

    def widths(self, method: PipelineConfig) -> Mapping[str, int]:
        return {"distance": 2, "features": method.rays.num_lifted(method), "instances": self.num_instance_channels}
