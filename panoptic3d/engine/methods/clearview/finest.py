"""Loss terms of the finest voxel level of a batch, sample by sample."""

from dataclasses import dataclass

from jaxtyping import Float, Int32, Int64
from torch import Tensor

from panoptic3d.engine.methods.clearview.near_truth import FineTruth
from panoptic3d.models.clearview.seeds import Votes
from panoptic3d.models.clearview.voxel_net import VotedLevel
from panoptic3d.structures.prediction import ThingSeeds


@dataclass(frozen=True, eq=False)
class FinestMember:
    """Predictions for the finest voxels of one sample, and the ground truth there."""

    coords: Int32[Tensor, "n 3"]
    distance_vox: Float[Tensor, " n"]
    semantic_logits: Float[Tensor, "n classes"]
    votes: Votes
    truth: FineTruth
    seed_rows: Int64[Tensor, " s"]  # its seeds among those of the batch
    seeds: ThingSeeds


def finest_members(level: VotedLevel, truth: FineTruth) -> list[FinestMember]:
    """`truth`: of all voxels of the finest level. Members are split, not picked: that costs nothing backward."""
    counts, members = level.voxels.counts, []
    parts = zip(
        *(values.split(counts) for values in (level.voxels.coords[:, 1:], level.distance_vox, level.semantic_logits)),
        *(values.split(counts) for values in level.votes),
        *(values.split(counts) for values in (truth.distance_vox, truth.semantic, truth.instance)),
        strict=True,
    )
    for number, (coords, distance, semantic, centre, embedding, nothing, *true) in enumerate(parts):
        rows = (level.seeds.member == number).nonzero()[:, 0]
        votes = Votes(centre, embedding, nothing)
        members.append(FinestMember(coords, distance, semantic, votes, FineTruth(*true), rows, level.seeds.of(rows)))
    return members
