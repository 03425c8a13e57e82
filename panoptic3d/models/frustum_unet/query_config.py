"""The switches and widths of the voxel net with queries. Widths are Uni-3D's for `width` 16."""

from typing import Literal

from pydantic import Field

from panoptic3d.models.pipeline_config import PipelineConfig, VoxelNetSlot
from panoptic3d.sparse.config import SparseConfig


class QueryUNetConfig(VoxelNetSlot):
    name: Literal["query-unet"] = "query-unet"
    num_features: int = Field(default=512, ge=1)  # of a pixel
    num_classes: int = Field(default=13, ge=1)  # channels of the class map
    num_query_channels: int = Field(default=256, ge=1)
    width: int = Field(default=16, ge=1)
    # Whether maps of strides 8, 16 and 32 of the image are lifted to strides 2, 4 and 8 of the grid, too.
    scales: Literal["single", "multi"] = "single"
    # Where a 4^3 kernel of stride 2 sits: "one-sided" as published weights have learnt it, or "centred" on its voxel.
    even_kernels: Literal["one-sided", "centred"] = "centred"
    # Where the finest dense level is worked out: over the "grid", as published weights were trained (norms see all of it), or
    # over the cells of the "frustum", a sixth of it.
    level_64: Literal["grid", "frustum"] = "frustum"
    # Logits of queries at 64^3 and 128^3 are there to be trained; no decoder reads them.
    coarse_instances: Literal["training", "always"] = "training"
    # Occupied is what is likelier than this, at each level.
    threshold_64: float = Field(default=0.5, gt=0, lt=1)
    threshold_128: float = Field(default=0.5, gt=0, lt=1)
    threshold_256: float = Field(default=0.5, gt=0, lt=1)
    sparse: SparseConfig = SparseConfig(tile=4)

    def misfit(self, method: PipelineConfig) -> str | None:
        lifted = method.lift.widths(method)
        for given, read, key in (
            (lifted["features"], self.num_features, "num_features"),
            (method.panoptic.num_query_channels, self.num_query_channels, "num_query_channels"),
            (lifted["classes"], self.num_classes, "num_classes"),
            (getattr(method.lift, "scales", "single"), self.scales, "scales"),
        ):
            if given != read:
                return f"voxel_net.{key} is {read} where the slots before it give {given}; make them equal"
        return None
