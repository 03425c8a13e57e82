"""Batches for training and samples for evaluation, from any number of worker processes and ranks.

Training replaces a sample that cannot be read by another one, names it in the log, and gives up when too many are bad.
Evaluation replaces nothing: a bad sample raises, or is handed on as a `FailedSample` for the evaluator to count.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import Field
from torch.utils.data import DataLoader, Dataset, Sampler

from panoptic3d import distributed
from panoptic3d.config import Config
from panoptic3d.data.augment import AugmentConfig, augmented
from panoptic3d.data.dataset import FailedSample, SampleDataset
from panoptic3d.data.order import Place, Position, evaluation_indices, num_training_steps, training_batches
from panoptic3d.data.ssd_augment import SsdAugmentConfig, ssd_augmented
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.randomness import derive_seed, torch_generator
from panoptic3d.structures.batch import Batch, collate_by_size
from panoptic3d.structures.sample import Sample

_LOG = logging.getLogger(__name__)
_MAX_ATTEMPTS = 16  # bad samples in a row for one position; more mean a broken data set


class LoaderConfig(Config):
    batch_size: int = Field(default=1, ge=1)
    num_workers: int = Field(default=0, ge=0)
    prefetch_batches: int = Field(default=2, ge=1)  # of each worker
    is_shuffled: bool = True
    max_bad_samples: int = Field(
        default=20, ge=0
    )  # distinct ones before training gives up; `train` counts over all ranks
    pin_memory: bool = False
    # Augmentation of training samples; validation samples are never augmented.
    augment: AugmentConfig | SsdAugmentConfig | None = None


@dataclass(frozen=True)
class Replacement:
    """A bad sample and the one that stood in for it."""

    failed: FailedSample
    by: str


class TrainingLoader:
    """Endless batches from a position on. The same seed, position, rank and world size give the same batches, whatever
    the number of workers.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        config: LoaderConfig,
        seed: int,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if len(dataset) == 0:
            raise InputError(f"the split {dataset.split.name!r} has no samples to train on.")
        self.dataset, self.config, self.seed = dataset, config, seed
        self.rank = distributed.rank() if rank is None else rank
        self.world_size = distributed.world_size() if world_size is None else world_size
        self.replacements: list[Replacement] = []
        batches_of = partial(
            training_batches,
            len(dataset),
            config.batch_size,
            seed,
            rank=self.rank,
            world_size=self.world_size,
            is_shuffled=config.is_shuffled,
        )
        self._order = _EpochOrder(self.num_steps, batches_of)
        self._loader = DataLoader(
            _ReplacingDataset(dataset, config.augment, seed),
            batch_sampler=self._order,
            num_workers=config.num_workers,
            collate_fn=_collate,
            pin_memory=config.pin_memory,
            persistent_workers=config.num_workers > 0,
            prefetch_factor=config.prefetch_batches if config.num_workers else None,
            worker_init_fn=_leave_group,
            generator=torch_generator(seed, "workers"),  # else every start of an epoch draws from the global stream
        )

    @property
    def num_steps(self) -> int:
        """Batches of an epoch, the same on every rank."""
        return num_training_steps(len(self.dataset), self.config.batch_size, self.world_size)

    def batches(self, position: Position = Position()) -> Iterator[tuple[tuple[Batch, ...], Position]]:  # noqa: B008 - frozen
        """The samples of each step, with the position after it, which is the one to keep in a checkpoint."""
        while True:
            for parts in self.epoch(position):
                step = position.step + 1
                position = Position(position.epoch, step) if step < self.num_steps else Position(position.epoch + 1)
                yield parts, position

    def epoch(self, position: Position) -> Iterator[tuple[Batch, ...]]:
        """The remaining steps of one epoch: `batch_size` samples each, in one batch per image size."""
        self._order.position = position
        for parts, replacements in self._loader:
            self._count(replacements)
            yield parts

    @property
    def bad_keys(self) -> set[str]:
        return {replacement.failed.key for replacement in self.replacements}

    def _count(self, replacements: Sequence[Replacement]) -> None:
        for replacement in replacements:
            self.replacements.append(replacement)
            _LOG.warning(
                "%s cannot be read and is replaced by %s: %s",
                replacement.failed.key,
                replacement.by or "nothing",
                replacement.failed.error,
            )
            if not replacement.by:
                raise Panoptic3dError(
                    f"{_MAX_ATTEMPTS} samples in a row cannot be read, the last: {replacement.failed.error}"
                )
        if len(self.bad_keys) > self.config.max_bad_samples:
            raise Panoptic3dError(
                f"{len(self.bad_keys)} samples cannot be read and max_bad_samples is {self.config.max_bad_samples}; "
                f"run `panoptic3d data verify`. The last one: {replacements[-1].failed.error}"
            ) from replacements[-1].failed.error


def evaluation_samples(
    dataset: SampleDataset,
    *,
    on_bad: Literal["raise", "hand on"] = "raise",
    num_workers: int = 0,
    prefetch_samples: int = 2,
    rank: int | None = None,
    world_size: int | None = None,
) -> Iterator[Sample | FailedSample]:
    """This rank's samples in the order of the split: every sample on exactly one rank, none repeated, none left out.

    Ranks may have one sample more or less than others, so run no collective between samples.
    """
    rank = distributed.rank() if rank is None else rank
    world_size = distributed.world_size() if world_size is None else world_size
    loader = DataLoader(
        _AttemptingDataset(dataset, evaluation_indices(len(dataset), rank, world_size)),
        batch_size=None,
        num_workers=num_workers,
        prefetch_factor=prefetch_samples if num_workers else None,
    )
    for item in loader:
        if isinstance(item, FailedSample) and on_bad == "raise":
            raise item.error
        yield item


def _leave_group(worker: int) -> None:
    """A scheduler signals a job's process groups, and the parent still needs its batches to reach the end of its step."""
    os.setpgid(0, 0)


class _EpochOrder(Sampler[list[Place]]):
    """The batches of the epoch at `position`, read by the loader whenever it starts over. It does not know the training
    loader: workers whose iterator goes down in a cycle of garbage are waited for in vain, five seconds each.
    """

    def __init__(self, num_steps: int, batches_of: Callable[[int], list[list[Place]]]) -> None:
        self._num_steps, self._batches_of = num_steps, batches_of
        self.position = Position()

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self._batches_of(self.position.epoch)[self.position.step :])

    def __len__(self) -> int:
        return self._num_steps - self.position.step


class _ReplacingDataset(Dataset[tuple[Sample | None, tuple[Replacement, ...]]]):
    """Runs in the workers. A bad file travels as a value: an exception would lose its type on the way."""

    def __init__(self, dataset: SampleDataset, augment: AugmentConfig | SsdAugmentConfig | None, seed: int) -> None:
        self._dataset, self._augment, self._seed = dataset, augment, seed

    def __getitem__(self, place: Place) -> tuple[Sample | None, tuple[Replacement, ...]]:
        index, failed = place.index, []
        for attempt in range(_MAX_ATTEMPTS):
            item = self._dataset.attempt(index)
            if isinstance(item, Sample):
                return self._augmented(item, place), tuple(Replacement(failure, item.key) for failure in failed)
            failed.append(item)
            index = derive_seed(self._seed, "replacement", place.epoch, place.position, attempt) % len(self._dataset)
        return None, tuple(Replacement(failure, "") for failure in failed)

    def _augmented(self, sample: Sample, place: Place) -> Sample:
        """Anew in every epoch, and by place alone: workers and ranks change nothing."""
        if self._augment is None:
            return sample
        draw = torch_generator(self._seed, "augment", place.epoch, place.position)
        if isinstance(self._augment, SsdAugmentConfig):
            return ssd_augmented(sample, self._augment, draw)
        return augmented(sample, self._augment, draw)


class _AttemptingDataset(Dataset[Sample | FailedSample]):
    def __init__(self, dataset: SampleDataset, indices: Sequence[int]) -> None:
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> Sample | FailedSample:
        return self._dataset.attempt(self._indices[number])


def _collate(
    items: Sequence[tuple[Sample | None, tuple[Replacement, ...]]],
) -> tuple[tuple[Batch, ...], tuple[Replacement, ...]]:
    samples = [sample for sample, _ in items if sample is not None]
    replacements = tuple(replacement for _, replaced in items for replacement in replaced)
    return (collate_by_size(samples) if len(samples) == len(items) else ()), replacements
