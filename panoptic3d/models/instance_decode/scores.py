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
    is_detected = (ids > num_stuff) & (instance > 0) & (instance <= len(confident))
    things, numbers = ids[is_detected] - num_stuff, instance[is_detected]
    is_pair = torch.zeros(
        int(ids.max()) + 1 if len(ids) else 1, len(confident) + 1, dtype=torch.bool, device=ids.device
    )
    is_pair[things, numbers] = True
    return {thing: confident[number - 1] for thing, number in is_pair.nonzero().tolist()}


def mean_agreement(ids: Int64[Tensor, " n"], probability: Float[Tensor, " n"]) -> dict[int, float]:
    """Mean probability, over the voxels of each id, of the label that they were assigned."""
    count = torch.bincount(ids).clamp(min=1)
    mean = torch.bincount(ids, probability.detach().double()) / count
    return {number: float(mean[number]) for number in ids.unique().tolist() if number > 0}
