"""The switches of the lift. Section numbers are those of BUOL's specification in docs/buol.md."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from panoptic3d.geometry.frustum import FAR_M, NEAR_M
from panoptic3d.models.pipeline_config import LiftSlot, PipelineConfig


class OccupancyLiftConfig(LiftSlot):
    name: Literal["occupancy"] = "occupancy"
    # Where a voxel's point lies: "released" is the frustum's box with halves of voxels as padding (section 2.1), half a
    # voxel short of the ground truth; "exact" the grid of the ground truth.
    registration: Literal["released", "exact"] = "exact"
    # Which pixel a point falls into: "floor" is half a pixel off, "nearest" is not.
    pixel: Literal["floor", "nearest"] = "nearest"
    # Voxels that may be looked at: "released" is the shipped mask, "projected" what the camera sees. The released one is made
    # for any camera by its rule; on Matterport3D the reference takes the mask of the ground truth.
    frustum: Literal["released", "projected"] = "projected"
    # A pixel whose stuff limit is nearer than its surface: "lost" (section 12, quirk 6), or "kept" with its own surface.
    before_limit: Literal["lost", "kept"] = "kept"
    # An image without stuff: "nothing" is lifted (the reference then fails), or all up to the "farthest" depth it shows.
    without_stuff: Literal["nothing", "farthest"] = "farthest"
    # Nothing is ever at index 255 of the released order (section 5.9).
    last_index: Literal["dropped", "kept"] = "kept"
    # Which way the voxel net counts, its `frame`: the corner of a cell of 2^3 is its first voxel there (section 5.7).
    frame: Literal["released", "camera"] = "camera"
    # Where the grid lies: that of 3D-Front for every camera, or the one that the releases would give to this camera.
    grid: Literal["front3d", "camera"] = "front3d"
    planes_before: int = Field(default=2, ge=0)  # of the range, nearer than the pixel's depth
    planes_behind: int = Field(default=4, ge=0)  # farther than the stuff limit
    erosion_px: int = Field(default=5, ge=1)  # an odd number: stuff so near to something else bounds nothing
    margin_vox: int = Field(default=2, ge=0)  # voxels around the lifted ones that the voxel net may fill
    near_m: float = NEAR_M
    far_m: float = FAR_M

    def widths(self, method: PipelineConfig) -> Mapping[str, int]:
        return {"classes": len(method.classes), "position": 3}

    def misfit(self, method: PipelineConfig) -> str | None:
        if getattr(method.rays, "num_planes", 0):
            return None
        return f"lift {self.name!r} needs planes and rays.num_planes is 0; the published network of BUOL has 100"
