"""Numbers and lines about the steps since the last line, over all ranks."""

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from panoptic3d import distributed
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.state import Standing
from panoptic3d.engine.training.trainer import StepReport, Trainer


@dataclass(frozen=True)
class Progress:
    """The numbers of a progress line."""

    step: int
    num_steps: int
    loss: float | None
    best_prq: float | None  # None before the first validation
    seconds_a_step: float
    seconds_left: float  # of the whole run: the ETA


class StepLog:
    """Sums up steps until a line is written."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._sums: dict[str, float] = {}
        self._num_applied = self._num_steps = self._num_samples = 0
        self._start_s = self._run_start_s = time.monotonic()
        self._start_cpu_s = time.process_time()
        self._run_steps = 0
        self._last: StepReport | None = None

    def add(self, report: StepReport) -> None:
        for name, value in report.terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._num_applied += bool(report.terms)
        self._num_steps, self._run_steps = self._num_steps + 1, self._run_steps + 1
        self._num_samples += report.num_samples
        self._last = report

    @property
    def has_steps(self) -> bool:
        return self._num_steps > 0

    def leave_out(self, seconds: float, cpu_seconds: float) -> None:
        """Time in which no step was made, such as that of a validation."""
        self._start_s += seconds
        self._start_cpu_s += cpu_seconds
        self._run_start_s += seconds

    def progress(self, step: int, report: StepReport, standing: Standing) -> Progress:
        a_step_s = (time.monotonic() - self._run_start_s) / self._run_steps
        loss = sum(report.terms.values()) if report.terms else None
        best_prq = standing.best_prq if standing.best is not None else None
        return Progress(
            step, self._config.num_steps, loss, best_prq, a_step_s, (self._config.num_steps - step) * a_step_s
        )

    def close(self, trainer: Trainer, standing: Standing) -> tuple[dict[str, float | int], str]:
        """Called by every rank: numbers for the trackers and a line for the log; then it starts again."""
        assert self._last is not None
        here = {name: value / max(1, self._num_applied) for name, value in self._sums.items()}
        everywhere = distributed.gather_objects((here, self._num_applied))
        terms = _mean_over_ranks([terms for terms, count in everywhere if count])
        elapsed_s = time.monotonic() - self._start_s
        seconds = {stage: value / self._num_steps for stage, value in trainer.clock.read().items()}
        samples_per_s = self._num_samples * distributed.world_size() / max(elapsed_s, 1e-9)
        numbers = {
            "epoch": trainer.position.epoch,
            **({"train/loss": sum(terms.values())} if terms else {}),
            **{f"train/{name}": value for name, value in terms.items()},
            "train/learning_rate": self._last.rate,
            "train/gradient_norm": self._last.grad_norm,
            "speed/samples_per_s": samples_per_s,
            "speed/cpu_s": (time.process_time() - self._start_cpu_s)
            / self._num_steps,  # a step, without loader workers
            **{f"seconds/{stage}": value for stage, value in seconds.items()},
            "memory/peak_mib": peak_memory_mib(trainer.device),
            **{f"faults/{name}": value for name, value in trainer.faults.counts().items()},
        }
        line = self._line(trainer, standing, terms, seconds)
        self._sums, self._num_applied, self._num_steps, self._num_samples = {}, 0, 0, 0
        self._start_s, self._start_cpu_s = time.monotonic(), time.process_time()
        return numbers, line

    @staticmethod
    def _line(trainer: Trainer, standing: Standing, terms: Mapping[str, float], seconds: Mapping[str, float]) -> str:
        """The short line of the log. metrics.jsonl has every loss term and the time of every part."""
        stage = trainer.stage
        whole = sum(value for name, value in seconds.items() if "." not in name)
        loss = f"loss {sum(terms.values()):.4g}" if terms else "no finite step"
        parts = [f"{stage.name} {trainer.step - stage.start}/{stage.end - stage.start}", loss]
        if standing.best is not None:
            parts.append(f"best PRQ {100 * standing.best_prq:.2f}")
        eta = f"ETA {duration((stage.end - trainer.step) * whole)}"
        if stage.end < trainer.config.num_steps:
            eta += f" of the stage, {duration((trainer.config.num_steps - trainer.step) * whole)} of the run"
        return ", ".join([*parts, f"{whole:.3g} s a step", eta])


def final_report(trainer: Trainer, standing: Standing) -> dict[str, Any]:
    """The last entry of run.json, with every fault by name."""
    return {
        "step": trainer.step,
        "best_prq": standing.best_prq if standing.best is not None else None,
        "best": standing.best,
        "resumed": standing.resumed,
        "faults": trainer.faults.state_dict(),
    }


def peak_memory_mib(device: torch.device) -> int:
    """Peak memory of this process: on CUDA what torch allocated, otherwise resident memory."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _mean_over_ranks(parts: list[dict[str, float]]) -> dict[str, float]:
    """A term that a rank did not meet counts 0 there, as in its gradient."""
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part in parts) / len(parts) for name in names}


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
