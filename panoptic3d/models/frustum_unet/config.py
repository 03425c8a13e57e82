"""The switches and widths of the voxel net. Widths are PanoRecon's for `width` 16; a smaller one shrinks them all."""

from typing import Literal

from pydantic import Field

from panoptic3d.models.pipeline_config import PipelineConfig, VoxelNetSlot
from panoptic3d.sparse.config import SparseConfig


class FrustumUNetConfig(VoxelNetSlot):
    name: Literal["frustum-unet"] = "frustum-unet"
    num_features: int = Field(default=80, ge=1)  # of a pixel
    num_instances: int = Field(default=16, ge=2)  # channels, "none" first
    num_classes: int = Field(default=13, ge=2)
    width: int = Field(default=16, ge=1)
    # Where a 4^3 kernel of stride 2 sits: "one-sided" as published weights have learnt it, or "centred" on its voxel. It
    # holds for the way down (a strided kernel) and the way up (a generating one) alike.
    even_kernels: Literal["one-sided", "centred"] = "centred"
    # Indices that a level may hold: the reference drops index 255 of 256 (section 10, 16).
    last_index: Literal["dropped", "kept"] = "kept"
    # Where the finest dense level is worked out: over the "grid", as published weights were trained (norms see all of it), or
    # over the cells of the "frustum", a sixth of it.
    level_64: Literal["grid", "frustum"] = "frustum"
    # Occupied is what is likelier than this, at each level.
    threshold_64: float = Field(default=0.5, gt=0, lt=1)
    threshold_128: float = Field(default=0.5, gt=0, lt=1)
    threshold_256: float = Field(default=0.5, gt=0, lt=1)
    sparse: SparseConfig = SparseConfig(tile=4)

    def misfit(self, method: PipelineConfig) -> str | None:
        lifted = method.lift.widths(method)
        for given, read, key in (
            (lifted["features"], self.num_features, "num_features"),
            (lifted["instances"], self.num_instances, "num_instances"),
            (len(method.classes), self.num_classes, "num_classes"),
        ):
            if given != read:
                return f"voxel_net.{key} is {read} where {given} come from the slots before it; make them equal"
        return None
