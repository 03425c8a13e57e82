"""Things as seeds in the volume: a heat map says where things have their centres, hidden ones too, and voxels join a seed.

A voxel votes for where its thing's centre lies and carries an embedding; a seed says where it is, how wide its votes may
stray and which embedding belongs to it. The logit of a voxel for a seed is their product minus the squared distance.
"""

from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.config import SeedConfig
from panoptic3d.sparse.dense import to_dense
from panoptic3d.structures.prediction import ThingSeeds
from panoptic3d.structures.sparse_voxels import SparseVoxels

_STEP_VOX = 8.0  # a correction of 1
_NEVER = -1e4


@dataclass(frozen=True, eq=False)
class Places:
    """Cells at which things are assumed: rows of the coarse level, in the order of the batch."""

    rows: Int64[Tensor, " s"]
    scores: Float[Tensor, " s"]


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
    """What a voxel says of its thing."""

    def __init__(self, width: int, config: SeedConfig) -> None:
        super().__init__()
        self.config = config
        self.said = nn.Linear(width, 3 + config.num_embedding + 1)

    def forward(
        self, features: Float[Tensor, "n c"], voxels: SparseVoxels
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n e"], Float[Tensor, " n"]]:
        """Where the centre lies, in voxels; the embedding; and how much the voxel is of no thing."""
        shift, embedding, nothing = widened(self.said(features)).split([3, self.config.num_embedding, 1], dim=1)
        return voxels.coords[:, 1:] + _STEP_VOX * shift, embedding, nothing[:, 0]


def membership(
    votes: tuple[Tensor, Tensor, Tensor], voxels: SparseVoxels, seeds: ThingSeeds, config: SeedConfig
) -> Float[Tensor, "n s1"]:
    """Logits of "no thing" and of every seed of the voxel's image; a seed of another image never wins."""
    centre, embedding, nothing = votes
    member = voxels.coords[:, 0].long()
    logits = centre.new_zeros(len(voxels), len(seeds))
    if config.votes != "centres":
        logits = logits + widened(embedding @ seeds.embedding.t())
    if config.votes != "embeddings":
        gap = torch.cdist(centre, seeds.centre_vox) if len(seeds) else logits
        logits = logits - (gap / seeds.reach_vox).square().clamp(max=50)
    logits = torch.where(member[:, None] == seeds.member, logits, _NEVER)
    return torch.cat((nothing[:, None], logits), dim=1)


def strongest(heat_logit: Float[Tensor, " n"], cells: SparseVoxels, config: SeedConfig) -> Places:
    """Cells that are the strongest of their window and likely enough, at most so many an image, the strongest first."""
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
