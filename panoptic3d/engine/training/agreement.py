"""Agreement of ranks in one small all-reduce on the CPU: is the step finite, must the run stop? Explains lost ranks."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from panoptic3d import distributed
from panoptic3d.errors import Panoptic3dError

# How torch's process groups report a peer that is gone or late: as a RuntimeError with a message of gloo or NCCL.
_SIGNS_OF_A_LOST_PEER = ("gloo", "NCCL", "ProcessGroup", "onnection reset", "onnection closed")


@dataclass(frozen=True)
class Verdict:
    is_finite: bool
    must_stop: bool
    has_bad_samples: bool


def agree(is_finite: bool, must_stop: bool, num_bad_samples: int) -> Verdict:
    """Any rank's trouble is everybody's."""
    votes = torch.tensor([not is_finite, must_stop, num_bad_samples > 0], dtype=torch.int64)
    not_finite, stop, bad = distributed.sum_over_ranks(votes).tolist()
    return Verdict(not not_finite, bool(stop), bool(bad))


@contextlib.contextmanager
def explained_loss_of_ranks() -> Iterator[None]:
    """A collective that failed inside of the block, in whatever part of a step, becomes one sentence."""
    try:
        yield
    except RuntimeError as error:
        if not distributed.is_distributed() or not any(sign in str(error) for sign in _SIGNS_OF_A_LOST_PEER):
            raise
        raise Panoptic3dError(
            f"rank {distributed.rank()} lost another rank, which died or did not answer within rank_timeout_s; its own "
            f"message is above, and torchrun --max-restarts goes on from the last checkpoint ({error})."
        ) from error
