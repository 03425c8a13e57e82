"""What a network says of a batch of images, before anything is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class LevelPrediction:
    """The answer at one resolution: occupancy on the voxels that were asked, the rest on those that were kept.

    `voxels` need not be a subset of `candidates`: a skip connection may bring voxels that nobody asked about.
    """

    candidates: SparseVoxels
    occupancy_logit: Float[Tensor, " m"]  # rows as `candidates`
    voxels: SparseVoxels
    is_kept: Bool[Tensor, " m"]  # rows as `candidates`: what the network itself went on with
    semantic_logits: Float[Tensor, "n classes"] | None = None  # rows as `voxels`, as everything below
    instance_logits: Float[Tensor, "n instances"] | None = None
    distance_vox: Float[Tensor, " n"] | None = None  # in voxels of the finest grid


@dataclass(frozen=True, eq=False)
class Prediction:
    """Depth, the instances of each image, and the levels from coarse to fine.

    The decoder turns it into one `PanopticScene` an image, the objective into a loss.
    """

    cameras: tuple[Camera, ...]  # of the depth map
    grids: tuple[VoxelGrid, ...]  # one an image: where its finest voxels lie
    depth_m: Float[Tensor, "b h w"]
    instances: tuple[Instances2D, ...]
    levels: tuple[LevelPrediction, ...]
    maps: Mapping[str, Tensor] = field(default_factory=dict)  # of the 2D stage, where a decoder reads them
