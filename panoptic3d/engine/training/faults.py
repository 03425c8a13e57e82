"""Faults of a run and their limits: bad samples, non-finite losses, and memory that ran out.

The book is the same on every rank: what one rank saw, all write down before the next step.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from panoptic3d import distributed
from panoptic3d.data.loader import Replacement
from panoptic3d.engine.training.config import FaultsConfig
from panoptic3d.errors import Panoptic3dError
from panoptic3d.machine import is_out_of_memory
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import VoxelTruth

_LOG = logging.getLogger(__name__)
_DUMP_TYPES = [Batch, Camera, VoxelGrid, VoxelTruth]


@dataclass
class FaultBook:
    bad_samples: dict[str, str] = field(default_factory=dict)  # key -> what was wrong
    num_replacements: int = 0  # a bad sample is met once an epoch
    non_finite_steps: list[dict[str, Any]] = field(default_factory=list)  # step, what, keys of the samples
    num_overflows: int = 0  # of fp16, which its scaler answers by itself

    def state_dict(self) -> dict[str, Any]:
        return {
            "bad_samples": dict(self.bad_samples),
            "num_replacements": self.num_replacements,
            "non_finite_steps": list(self.non_finite_steps),
            "num_overflows": self.num_overflows,
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> "FaultBook":
        return cls(**state)

    def counts(self) -> dict[str, int]:
        return {
            "num_bad_samples": len(self.bad_samples),
            "num_replacements": self.num_replacements,
            "num_non_finite_steps": len(self.non_finite_steps),
            "num_overflows": self.num_overflows,
        }

    def lines(self) -> list[str]:
        """The report: each fault by name."""
        bad = [f"bad sample {key}, replaced: {message}" for key, message in self.bad_samples.items()]
        return [*bad, *map(self._line, self.non_finite_steps)]

    @staticmethod
    def _line(lost: Mapping[str, Any]) -> str:
        return f"step {lost['step']} given up: {lost['what']} on {', '.join(lost['keys'])}"

    def note_bad_samples(self, here: list[Replacement], cap: int) -> None:
        """Called by every rank with what it has met, none for most."""
        for met in distributed.gather_objects([(r.failed.key, str(r.failed.error)) for r in here]):
            self.num_replacements += len(met)
            self.bad_samples |= dict(met)
        if len(self.bad_samples) > cap:
            key, message = list(self.bad_samples.items())[-1]
            raise Panoptic3dError(
                f"{len(self.bad_samples)} samples cannot be read and loader.max_bad_samples is {cap}; "
                f"run `panoptic3d data verify`. The last one, {key}: {message}"
            )

    def note_non_finite(self, step: int, what: str, keys: tuple[str, ...], caps: FaultsConfig) -> None:
        """Called by every rank with its own samples; `what` is empty where this rank's loss was finite."""
        seen = distributed.gather_objects((what, list(keys)))
        guilty = [(reason, met) for reason, met in seen if reason]
        self.non_finite_steps.append(
            {"step": step, "what": "; ".join(r for r, _ in guilty), "keys": [key for _, met in guilty for key in met]}
        )
        _LOG.warning(self._line(self.non_finite_steps[-1]))
        if len(self.non_finite_steps) > caps.max_non_finite_steps:
            raise Panoptic3dError(
                f"{len(self.non_finite_steps)} steps were not finite and faults.max_non_finite_steps is "
                f"{caps.max_non_finite_steps}, the last: step {step}, {self.non_finite_steps[-1]['what']} on "
                f"{', '.join(self.non_finite_steps[-1]['keys'])}; try `train --replay`, or lower the learning rate."
            )


def non_finite_terms(terms: Mapping[str, Tensor]) -> str:
    """Which terms are not finite and what they are; empty where all are."""
    bad = {name: float(term.detach()) for name, term in terms.items() if not bool(torch.isfinite(term.detach()).all())}
    return ", ".join(f"{name} is {value}" for name, value in bad.items())


def dump_batch(path: Path, batch: Batch, step: int, weights: Mapping[str, Tensor]) -> None:
    """Everything that one forward pass depends on, for `train --replay`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu() for name, tensor in weights.items()}
    torch.save({"batch": batch.to("cpu"), "step": step, "method": state}, path)


def read_dump(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals(_DUMP_TYPES):
        return torch.load(path, map_location="cpu", weights_only=True)


@contextlib.contextmanager
def explained_memory(batch: Batch, step: int) -> Iterator[None]:
    """An allocation that fails inside of the block becomes one sentence about the samples in hand."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise Panoptic3dError(f"out of memory in step {step} with {describe(batch)}. {_ADVICE}") from error


_ADVICE = "Lower loader.batch_size and raise accumulation by as much, or set precision to bf16."


def describe(batch: Batch) -> str:
    """Samples by key with their voxels."""
    voxels = [f"{len(truth.linear_index):,} voxels" for truth in batch.truths] or ["2D only"] * len(batch)
    return ", ".join(f"{key} ({count})" for key, count in zip(batch.keys, voxels, strict=True))
