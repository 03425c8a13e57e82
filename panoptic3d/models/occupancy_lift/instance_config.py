"""The occupancy-aware lift for a voxel net that reads features of pixels and one channel an instance, as PanoRecon's does."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.surface_lift.config import Overflow


class InstanceOccupancyConfig(OccupancyLiftConfig):
    name: Literal["occupancy-instances"] = "occupancy-instances"
    num_instance_channels: int = Field(default=16, ge=2)  # the first is "no instance"
    overflow: Overflow = "shared"

    def widths(self, method: PipelineConfig) -> Mapping[str, int]:
        """The occupancy of its plane goes along with the features of a voxel's pixel."""
        return {"distance": 2, "features": method.rays.num_lifted(method) + 1, "instances": self.num_instance_channels}
