"""Loss terms for seeds in the volume, for votes and membership of voxels, and for the shells that PRQ compares."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_LANES, _IMPOSSIBLE = 16, -1e9  # a logit whose probability is exactly 0
_SOFTNESS_VOX = 0.25  # how fast a voxel leaves the shell


def heat_term(logit: Float[Tensor, " n"], heat: Float[Tensor, " n"], num_things: int) -> Tensor:
    """CenterNet's focal loss over cells: centres must be hot, cells near a centre are forgiven for being warm."""
    probability = logit.sigmoid()
    is_centre = heat >= 1
    hot = -(1 - probability).square() * F.logsigmoid(logit)
    cold = -(1 - heat).pow(4) * probability.square() * F.logsigmoid(-logit)
    return torch.where(is_centre, hot, cold).sum() / max(num_things, 1)


def vote_term(vote_vox: Float[Tensor, "n 3"], centre_vox: Float[Tensor, "k 3"], thing: Int64[Tensor, " n"]) -> Tensor:
    """Distance between where voxels say their thing's centre lies and where it lies; every thing counts alike.

    `thing` numbers the centre of each voxel from 1; 0 is no thing.
    """
    is_thing = thing > 0
    error = (vote_vox[is_thing] - centre_vox[thing[is_thing] - 1]).abs().mean(dim=1)
    return mean_of_groups(error, thing[is_thing] - 1, len(centre_vox))


def membership_term(logits: Float[Tensor, "n s1"], thing: Int64[Tensor, " n"]) -> Tensor:
    """Cross entropy. "No thing" and all things together have equal weight, and all things have equal weights."""
    error = cross_entropy_by_rows(logits, thing)
    is_thing = thing > 0
    things = mean_of_groups(error[is_thing], thing[is_thing] - 1, logits.shape[1] - 1)
    return things + mean_of_groups(error[~is_thing], thing[~is_thing], 1)


def weighted_distance_term(distance_vox: Float[Tensor, " n"], truth_vox: Float[Tensor, " n"]) -> Tensor:
    """Absolute error, four times as dear close to the surface, where the score looks."""
    weight = torch.where(truth_vox < 1.5, 4.0, 1.0)
    return (weight * (distance_vox - truth_vox).abs()).sum() / weight.sum().clamp(min=1)


def shell_term(distance_vox: Float[Tensor, " n"], truth_vox: Float[Tensor, " n"], group: Int64[Tensor, " n"]) -> Tensor:
    """One minus the soft IoU of the shell below one voxel, the mean over groups: what the score counts, made smooth. A voxel
    outside of every shell counts against the group that it is given.
    """
    inside = ((1 - distance_vox) / _SOFTNESS_VOX).sigmoid()
    is_shell = (truth_vox < 1).to(inside.dtype)
    count = int(group.max()) + 1 if len(group) else 0
    both = inside.new_zeros(count).index_add(0, group, inside * is_shell)
    either = inside.new_zeros(count).index_add(0, group, inside + is_shell - inside * is_shell)
    is_there = inside.new_zeros(count).index_add(0, group, is_shell) > 0
    return ((1 - both / either.clamp(min=1)) * is_there).sum() / is_there.sum().clamp(min=1)


def occupied_term(logit: Float[Tensor, " n"], is_occupied: Bool[Tensor, " n"]) -> Tensor:
    """Binary cross entropy plus one minus the soft dice, which does not care how rare the occupied are."""
    target = is_occupied.to(logit.dtype)
    entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="sum") / max(len(logit), 1)
    probability = logit.sigmoid()
    dice = 2 * (probability * target).sum() / (probability.sum() + target.sum()).clamp(min=1)
    return entropy + (1 - dice if bool(is_occupied.any()) else entropy.new_zeros(()))


def cross_entropy_by_rows(logits: Float[Tensor, "n c"], labels: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    """By rows that fill whole vectors: for 13 classes torch takes several times as long as for 16."""
    wide = F.pad(logits, (0, -logits.shape[1] % _LANES), value=_IMPOSSIBLE)
    return F.cross_entropy(wide, labels, reduction="none")


def mean_of_groups(values: Float[Tensor, " n"], group: Int64[Tensor, " n"], count: int) -> Tensor:
    """Mean of the group means; 0 without values."""
    total = values.new_zeros(count).index_add(0, group, values)
    size = torch.bincount(group, minlength=count)
    return (total / size.clamp(min=1)).sum() / (size > 0).sum().clamp(min=1)
