"""How likely a predicted thing is right: a logistic regression on what its seed, its voxels and the photo's pixels say.

A seed's score says how much a place looks like the centre of a thing. Whether voxels agree on a class there, whether the
photo shows them and how solid they are is known only when they have joined the seed. Fitted on training rooms by
`python -m eval.race.judge`; docs/experiments/2026-12-01-judged-things.md has what else was tried.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.models.clearview.confidence import SeenFrom
from panoptic3d.models.clearview.config import JudgeConfig
from panoptic3d.structures.prediction import ThingSeeds

# In the order of the weights of `JudgeConfig`.
FEATURES = (
    "score",
    "shell",
    "class_share",
    "occupied",
    "log_spread",
    "log_depth",
    "depth_extent",
    "fill",
    "pixels",
    "reach",
    "rank",
)
_LEAST = 1e-4  # lower bound of a probability and of its complement
_VISIBLE_M = 0.09  # a voxel so near to the depth of its pixel is seen
_BLOCK_PX = 4  # pixels are counted in squares of this side


@dataclass(frozen=True, eq=False)
class VoxelEvidence:
    """What the network says of the voxels of one image."""

    coords: Int64[Tensor, "n 3"]
    probabilities: Float[Tensor, "n classes"]
    occupied: Float[Tensor, " n"]
    is_shell: Bool[Tensor, " n"]  # near the surface


def evidence_of_things(
    joined: Int64[Tensor, " n"],
    classes: Int64[Tensor, " k1"],
    seeds: ThingSeeds,
    voxels: VoxelEvidence,
    seen: SeenFrom,
    voxel_size_m: float,
) -> Float[Tensor, "k features"]:
    """A row for each of the k things, the one of each of the `seeds`. Voxels have joined the thing of this number, from 1, or
    none (0), and `classes` has a row for that one, too.
    """
    num = len(seeds) + 1
    shell = torch.where(voxels.is_shell, joined, 0)
    count, size = _counts(joined, num), _counts(shell, num)
    share = _sums(joined, voxels.probabilities, num).gather(1, classes[:, None])[:, 0] / count
    of_shell = torch.stack((voxels.occupied, seen.log_spread, seen.log_depth), dim=1).to(share.dtype)
    occupied, spread, depth = (_sums(shell, of_shell, num) / size[:, None]).unbind(dim=1)
    extent = _extents(joined, voxels.coords.float(), num)
    of_things = (
        size.log(),
        share.logit(_LEAST),
        occupied.logit(_LEAST),
        spread,
        depth,
        (extent[:, 2] * voxel_size_m).log(),
        (size / (extent - 1).prod(dim=1).clamp(min=1)).log(),
        _pixels(shell, seen, num).log1p(),
    )
    scores, reach = seeds.scores.float(), seeds.reach_vox.float()
    rank = (scores[:, None] < scores).sum(dim=1)
    parts = (scores.logit(_LEAST), *(value[1:].float() for value in of_things), reach.log(), rank.log1p())
    return torch.stack(parts, dim=1)


def chance_of(evidence: Float[Tensor, "k features"], config: JudgeConfig) -> Float[Tensor, " k"]:
    """That a true thing of this class is matched."""
    return (evidence @ evidence.new_tensor(config.weights) + config.bias).sigmoid()


def _counts(thing: Int64[Tensor, " n"], num: int) -> Float[Tensor, " k1"]:
    return torch.bincount(thing, minlength=num).clamp(min=1).float()


def _sums(thing: Int64[Tensor, " n"], values: Float[Tensor, "n c"], num: int) -> Float[Tensor, "k1 c"]:
    return values.new_zeros(num, values.shape[1]).index_add_(0, thing, values)


def _extents(thing: Int64[Tensor, " n"], coords: Float[Tensor, "n 3"], num: int) -> Float[Tensor, "k1 3"]:
    """Sides of the box around each thing, in voxels."""
    index = thing[:, None].expand(-1, 3)
    low = coords.new_full((num, 3), torch.inf).scatter_reduce_(0, index, coords, "amin")
    high = coords.new_full((num, 3), -torch.inf).scatter_reduce_(0, index, coords, "amax")
    return (high - low + 1).clamp(min=1)


def _pixels(shell: Int64[Tensor, " n"], seen: SeenFrom, num: int) -> Float[Tensor, " k1"]:
    """In how many squares of the photo a thing's surface is seen."""
    is_seen = seen.is_inside & (seen.gap_m.abs() < _VISIBLE_M) & (shell > 0)
    width = seen.width // _BLOCK_PX + 1
    square = seen.row[is_seen] // _BLOCK_PX * width + seen.column[is_seen] // _BLOCK_PX
    squares = width * (seen.height // _BLOCK_PX + 1)
    pair = torch.unique(shell[is_seen] * squares + square)
    return torch.bincount(pair // squares, minlength=num).float()
