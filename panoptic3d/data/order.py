"""The order of samples: a pure function of seed, epoch, rank, and world size, so that a run can resume anywhere."""

from dataclasses import dataclass

import torch

from panoptic3d.randomness import torch_generator


@dataclass(frozen=True)
class Place:
    """A place in an epoch and the sample that belongs there."""

    epoch: int
    position: int  # in the epoch, over all ranks
    index: int  # in the data set


@dataclass(frozen=True)
class Position:
    """Where a run stands: what a checkpoint keeps of the data."""

    epoch: int = 0
    step: int = 0  # batches of this epoch that are done


def epoch_order(num_samples: int, seed: int, epoch: int, is_shuffled: bool = True) -> list[int]:
    if not is_shuffled:
        return list(range(num_samples))
    return torch.randperm(num_samples, generator=torch_generator(seed, "order", epoch)).tolist()


def num_training_steps(num_samples: int, batch_size: int, world_size: int) -> int:
    """The same on every rank: ranks of unequal length would wait for each other for ever."""
    return -(-num_samples // (batch_size * world_size))


def training_batches(
    num_samples: int, batch_size: int, seed: int, epoch: int, rank: int, world_size: int, is_shuffled: bool = True
) -> list[list[Place]]:
    """Every sample at least once over all ranks; the last step is filled up from the start of the epoch's order."""
    order = epoch_order(num_samples, seed, epoch, is_shuffled)
    num_steps = num_training_steps(num_samples, batch_size, world_size)

    def place(step: int, within: int) -> Place:
        position = (step * batch_size + within) * world_size + rank
        return Place(epoch, position, order[position % num_samples])

    return [[place(step, within) for within in range(batch_size)] for step in range(num_steps)]


def evaluation_indices(num_samples: int, rank: int, world_size: int) -> list[int]:
    """Every sample on exactly one rank, in the order of the split; shares differ by at most one."""
    return list(range(rank, num_samples, world_size))
