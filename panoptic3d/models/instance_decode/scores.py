"""How sure a decoder is of each of its segments."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.structures.instances import Instances2D


def likeliest(logits: Float[Tensor, "n c"]) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """The channel of the greatest probability in each row, and that probability."""
    best = logits.max(dim=1)
    return best.indices, torch.exp(best.values - logits.logsumexp(dim=1))


def detection_scores(
    instances: Instances2D, ids: Int64[Tensor, " n"], instance: Int64[Tensor, " n"], num_stuff: int
) -> dict[int, float]:
    """Confidence of the detection behind each thing."""
    confident = instances.confident.scores.tolist()
    is_thing = ids > num_stuff
    pairs = torch.stack((ids[is_thing] - num_stuff, instance[is_thing]), dim=1).unique(dim=0).tolist()
    return {thing: confident[number - 1] for thing, number in pairs if 0 < number <= len(confident)}


def mean_agreement(ids: Int64[Tensor, " n"], probability: Float[Tensor, " n"]) -> dict[int, float]:
    """By id (0 is none): the mean probability that its voxels give to what decided for them."""
    count = torch.bincount(ids).clamp(min=1)
    mean = torch.bincount(ids, probability.detach().double()) / count
    return {number: float(mean[number]) for number in ids.unique().tolist() if number > 0}
