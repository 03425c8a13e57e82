"""What all ranks must know before any of them goes on, in one small all-reduce on the CPU."""

from dataclasses import dataclass

import torch

from panoptic3d import distributed
from panoptic3d.errors import Panoptic3dError


@dataclass(frozen=True)
class Verdict:
    is_finite: bool
    must_stop: bool
    has_bad_samples: bool


def agree(is_finite: bool, must_stop: bool, num_bad_samples: int) -> Verdict:
    """Any rank's trouble is everybody's."""
    votes = torch.tensor([not is_finite, must_stop, num_bad_samples > 0], dtype=torch.int64)
    try:
        not_finite, stop, bad = distributed.sum_over_ranks(votes).tolist()
    except RuntimeError as error:  # how torch's process groups report a peer that is gone or late
        raise Panoptic3dError(
            f"rank {distributed.rank()} lost another rank, which died or did not answer within rank_timeout_s; "
            f"its own message is above, and torchrun --max-restarts goes on from the last checkpoint ({error})."
        ) from error
    return Verdict(not not_finite, bool(stop), bool(bad))
