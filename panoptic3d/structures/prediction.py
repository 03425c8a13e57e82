"""What a network says of a batch of images, before anything is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class ThingSeeds:
    """Things that a method finds in the volume rather than in the picture, over all images of the batch."""

    member: Int64[Tensor, " s"]
    centre_vox: Float[Tensor, "s 3"]  # in indices of the finest grid
    reach_vox: Float[Tensor, " s"]
    embedding: Float[Tensor, "s e"]
    class_logits: Float[Tensor, "s classes"]
    scores: Float[Tensor, " s"]

    def __len__(self) -> int:
        return len(self.member)

    def of(self, rows: Int64[Tensor, " k"]) -> "ThingSeeds":
        """These seeds, in the given order."""
        return ThingSeeds(
            self.member[rows],
            self.centre_vox[rows],
            self.reach_vox[rows],
            self.embedding[rows],
            self.class_logits[rows],
            self.scores[rows],
        )


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
    # For methods that group voxels by centres in the image: pixels of the depth map from the voxel's pixel to its thing's
    # centre (rows, columns), and voxels along z to the thing's middle; and a heat map of the centres in the volume.
    centre_offsets: Float[Tensor, "n 3"] | None = None
    centre_heat: Float[Tensor, " n"] | None = None
    seeds: ThingSeeds | None = (
        None  # what the instance logits after the first one are of, where a method finds things here
    )


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
