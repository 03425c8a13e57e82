"""What a network says of a batch of images, before anything is decided."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class LevelPrediction:
    """The answer at one resolution, on the voxels that the network kept there."""

    grid: VoxelGrid
    voxels: SparseVoxels
    occupancy_logit: Float[Tensor, " n"]
    semantic_logits: Float[Tensor, "n classes"] | None = None
    instance_logits: Float[Tensor, "n instances"] | None = None
    distance_vox: Float[Tensor, " n"] | None = None  # in voxels of the finest grid


@dataclass(frozen=True, eq=False)
class Prediction:
    """Depth and the levels from coarse to fine. The decoder turns it into a `PanopticScene`, the objective into a loss."""

    cameras: tuple[Camera, ...]
    depth_m: Float[Tensor, "b h w"]
    levels: tuple[LevelPrediction, ...]
