"""Things as seeds in the volume: peaks of a heat map are centres of things, hidden ones too, and each voxel joins a seed.

A voxel votes for where its thing's centre lies and carries an embedding; a seed says where it is, how wide its votes may
stray and which embedding belongs to it. The logit of a voxel for a seed is their product minus the squared distance.
"""

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened, without_autocast
from panoptic3d.models.clearview.config import SeedConfig
from panoptic3d.sparse.dense import to_dense
from panoptic3d.sparse.row_ops import pick
from panoptic3d.structures.prediction import ThingSeeds
from panoptic3d.structures.sparse_voxels import SparseVoxels

_STEP_VOX = 8.0  # a correction of 1
_NEVER = -1e4


@dataclass(frozen=True, eq=False)
class Places:
    """Cells at which things are assumed: rows of the coarse level, in the order of the batch."""

    rows: Int64[Tensor, " s"]
    scores: Float[Tensor, " s"]


class Votes(NamedTuple):
    """What voxels say of their things."""

    centre_vox: Float[Tensor, "n 3"]  # of the thing
    embedding: Float[Tensor, "n e"]
    nothing: Float[Tensor, " n"]  # the logit of being of no thing

    def of(self, rows: Int64[Tensor, " m"]) -> "Votes":
        """Those of distinct voxels."""
        return Votes(pick(self.centre_vox, rows), pick(self.embedding, rows), pick(self.nothing[:, None], rows)[:, 0])


class SeedHead(nn.Module):
    """From the features of a cell to what voxels are compared with."""

    def __init__(self, width: int, num_classes: int, config: SeedConfig) -> None:
        super().__init__()
        self.config = config
        self.hidden = nn.Linear(width, 2 * width)
        self.said = nn.Linear(2 * width, config.num_embedding + 3 + 1 + num_classes)

    def forward(self, features: Float[Tensor, "n c"], cells: SparseVoxels, places: Places) -> ThingSeeds:
        said = widened(self.said(F.relu(self.hidden(features[places.rows]))))
        embedding, shift, reach, classes = said.split(
            [self.config.num_embedding, 3, 1, said.shape[1] - self.config.num_embedding - 4], dim=1
        )
        coords = cells.coords[places.rows]
        middle = coords[:, 1:] * cells.stride + (cells.stride - 1) / 2
        return ThingSeeds(
            member=coords[:, 0].long(),
            centre_vox=middle + _STEP_VOX * shift,
            reach_vox=_STEP_VOX * F.softplus(reach[:, 0]) + 0.5,
            embedding=embedding,
            class_logits=classes,
            scores=places.scores,
        )


class VoteHead(nn.Module):
    """Predicts for a voxel the centre and the embedding of its thing."""

    def __init__(self, width: int, config: SeedConfig) -> None:
        super().__init__()
        self.config = config
        self.said = nn.Linear(width, 3 + config.num_embedding + 1)

    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels) -> Votes:
        shift, embedding, nothing = widened(self.said(features)).split([3, self.config.num_embedding, 1], dim=1)
        return Votes(voxels.coords[:, 1:] + _STEP_VOX * shift, embedding, nothing[:, 0])


def membership(votes: Votes, voxels: SparseVoxels, seeds: ThingSeeds, config: SeedConfig) -> Float[Tensor, "n s1"]:
    """Logits of "no thing" and of every seed of the voxel's image; a seed of another image never wins."""
    parts = []
    for member, rows in enumerate(torch.arange(len(voxels), device=voxels.device).split(voxels.counts)):
        own = (seeds.member == member).nonzero()[:, 0]
        logits = belonging(votes.of(rows), seeds.of(own), config)
        columns = torch.cat((own.new_zeros(1), own + 1))
        parts.append(logits.new_full((len(rows), len(seeds) + 1), _NEVER).index_copy(1, columns, logits))
    return torch.cat(parts)


def belonging(votes: Votes, seeds: ThingSeeds, config: SeedConfig) -> Float[Tensor, "n s1"]:
    """Logits of voxels of one image for "no thing" and each of its seeds."""
    logits = votes.nothing.new_zeros(len(votes.nothing), len(seeds))
    if config.votes != "centres":
        logits = logits + widened(votes.embedding @ seeds.embedding.t())
    if config.votes != "embeddings":
        logits = logits - _squared_gaps(votes.centre_vox, seeds).clamp(0, 50)
    return torch.cat((votes.nothing[:, None], logits), dim=1)


def _squared_gaps(centre_vox: Float[Tensor, "n 3"], seeds: ThingSeeds) -> Float[Tensor, "n s"]:
    """|c - s|^2 / reach^2 as one product of [|c|^2, c, 1] and [1, -2s, |s|^2] / reach^2, with both from the seeds' middle so
    that little is lost to rounding. Gradients of `cdist` take ten times as long."""
    if not len(seeds):
        return centre_vox.new_zeros(len(centre_vox), 0)
    with without_autocast(centre_vox.device):
        middle = seeds.centre_vox.detach().mean(dim=0)
        c, s = centre_vox - middle, seeds.centre_vox - middle
        of_votes = torch.cat((c.square().sum(dim=1, keepdim=True), c, torch.ones_like(c[:, :1])), dim=1)
        of_seeds = torch.cat((torch.ones_like(s[:, :1]), -2 * s, s.square().sum(dim=1, keepdim=True)), dim=1)
        return of_votes @ (of_seeds / seeds.reach_vox.square()[:, None]).t()


def strongest(heat_logit: Float[Tensor, " n"], cells: SparseVoxels, config: SeedConfig) -> Places:
    """Peaks of the heat map above the threshold, strongest first, up to the limit per image."""
    score = heat_logit.sigmoid()
    volume = to_dense(score[:, None], cells)
    peak = _largest_around(volume, config.apart_cells // 2)
    member, i, j, k = cells.coords.long().unbind(dim=1)
    is_peak = (score >= peak[member, 0, i, j, k]) & (score >= config.min_score)
    chosen = []
    for number in range(cells.batch_size):
        rows = (is_peak & (member == number)).nonzero()[:, 0]
        best = score[rows].argsort(descending=True, stable=True)[: config.max_seeds]
        chosen.append(rows[best])
    rows = torch.cat(chosen)
    return Places(rows, score[rows])


def _largest_around(volume: Float[Tensor, "b 1 x y z"], reach: int) -> Float[Tensor, "b 1 x y z"]:
    """In the cube around each cell, axis by axis; torch's own pooling takes forty times as long."""
    for axis in (2, 3, 4):
        size = volume.shape[axis]
        padding = [0] * 6
        padding[2 * (4 - axis)] = padding[2 * (4 - axis) + 1] = reach
        wide = F.pad(volume, padding, value=-torch.inf)
        volume = reduce(torch.maximum, (wide.narrow(axis, start, size) for start in range(2 * reach + 1)))
    return volume
