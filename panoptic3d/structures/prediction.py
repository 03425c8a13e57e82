"""A network's prediction for a batch of images, before any decision. The type of a level says what it has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.sparse_voxels import SparseVoxels

LevelT = TypeVar("LevelT", bound="LevelPrediction")
_ROWS_OF_CANDIDATES = ("occupancy_logit", "is_kept")


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

    def moved_to(self, member: int) -> "ThingSeeds":
        """As seeds of another image of a batch."""
        return replace(self, member=torch.full_like(self.member, member))


@dataclass(frozen=True, eq=False, kw_only=True)
class LevelPrediction:
    """Predictions at one resolution: occupancy of the candidate voxels. Subclasses add those of the kept voxels.

    `voxels` need not be a subset of `candidates`: a skip connection may bring voxels that nobody asked about. Every tensor
    that a subclass adds has the rows of `voxels`.
    """

    candidates: SparseVoxels
    occupancy_logit: Float[Tensor, " m"]  # rows as `candidates`
    voxels: SparseVoxels
    is_kept: Bool[Tensor, " m"]  # rows as `candidates`: what the network itself went on with

    def of_member(self: LevelT, member: int) -> LevelT:
        """The rows of one image of the batch, as if it were alone."""
        asked, kept = self.candidates.rows_of(member), self.voxels.rows_of(member)
        changes: dict[str, Any] = {"candidates": self.candidates.member(member), "voxels": self.voxels.member(member)}
        for name, value in self._tensors().items():
            changes[name] = value[asked if name in _ROWS_OF_CANDIDATES else kept]
        return replace(self, **changes)

    def _tensors(self) -> dict[str, Tensor]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceLevel(LevelPrediction):
    """Instances of the voxels as well."""

    instance_logits: Float[Tensor, "n instances"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledLevel(InstanceLevel):
    """And classes."""

    semantic_logits: Float[Tensor, "n classes"]


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceSurface(InstanceLevel):
    """A finest level, of which a scene can be made: the classes are those of the instances."""

    distance_vox: Float[Tensor, " n"]  # in voxels of the finest grid


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceLevel(LabelledLevel, InstanceSurface):
    """A finest level with classes of its own."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SeededLevel(SurfaceLevel):
    """Things were found in the volume: the instance logits after the first one ("no thing") are of `seeds`."""

    seeds: ThingSeeds
    voted_vox: Float[Tensor, "n 3"] | None = None  # where a voxel takes the centre of its thing to be, in finest voxels

    def of_member(self, member: int) -> "SeededLevel":
        own = (self.seeds.member == member).nonzero()[:, 0]
        columns = torch.cat((own.new_zeros(1), own + 1))
        seeds = self.seeds.of(own)
        level = replace(self, instance_logits=self.instance_logits[:, columns], seeds=seeds.moved_to(0))
        return super(SeededLevel, level).of_member(member)


@dataclass(frozen=True, eq=False, kw_only=True)
class CentreLevel(LevelPrediction):
    """A finest level for methods that group voxels by the centres of things in the image."""

    semantic_logits: Float[Tensor, "n classes"]
    distance_vox: Float[Tensor, " n"]  # in voxels of the finest grid
    # Pixels of the depth map from the voxel's pixel to its thing's centre (rows, columns), and voxels along z to its middle.
    centre_offsets: Float[Tensor, "n 3"]
    centre_heat: Float[Tensor, " n"] | None = None  # where training wants it: of the centres in the volume


CoarseT = TypeVar("CoarseT", bound=LevelPrediction, covariant=True)
FinestT = TypeVar("FinestT", bound=LevelPrediction, covariant=True)


@dataclass(frozen=True, eq=False)
class Levels(Generic[CoarseT, FinestT]):
    """From coarse to fine. A net that was told to end early leaves the finest out; a method's own net may say more."""

    coarse: tuple[CoarseT, ...]
    last: FinestT | None

    @property
    def finest(self) -> FinestT:
        if self.last is None:
            raise ValueError("the net ended before its finest level, and only that makes a scene")
        return self.last

    def __iter__(self) -> Iterator[CoarseT | FinestT]:
        yield from self.coarse
        if self.last is not None:
            yield self.last

    def __len__(self) -> int:
        return len(self.coarse) + (self.last is not None)

    def __getitem__(self, number: int) -> CoarseT | FinestT:
        return tuple(self)[number]


LevelsT = TypeVar("LevelsT", bound=Levels[LevelPrediction, LevelPrediction], covariant=True)


@dataclass(frozen=True, eq=False)
class Prediction(Generic[LevelsT]):
    """Depth, the instances of each image, and the levels from coarse to fine.

    The decoder turns it into one `PanopticScene` an image, the objective into a loss.
    """

    cameras: tuple[Camera, ...]  # of the depth map
    grids: tuple[VoxelGrid, ...]  # one an image: where its finest voxels lie
    depth_m: Float[Tensor, "b h w"]
    instances: tuple[Instances2D, ...]
    levels: LevelsT
    maps: Mapping[str, Tensor] = field(default_factory=dict)  # of the 2D stage, where a decoder reads them
    log_spread: Float[Tensor, "b h w"] | None = None  # of the log depth, for methods that know how sure they are
