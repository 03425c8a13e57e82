"""How fast and how large the steps of a stage are. One process a figure: memory once taken is never given back."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from panoptic3d.engine.methods.table import build_method, load_training_config
from panoptic3d.engine.training.allocator import keep_freed_memory
from panoptic3d.engine.training.records import RunFolder
from panoptic3d.engine.training.report import peak_memory_mib
from panoptic3d.engine.training.run import choose_device, training_set
from panoptic3d.engine.training.signals import StopRequest
from panoptic3d.engine.training.stages import stages_of
from panoptic3d.engine.training.starting import start_from
from panoptic3d.engine.training.trainer import Trainer
from panoptic3d.errors import Panoptic3dError

_DATA_BOUND_ABOVE = 0.2  # share of a step's time that is spent on waiting for data


@dataclass(frozen=True)
class Case:
    """A measurement: a stage of a config at its last step, where a curriculum needs most."""

    config: str
    stage: str
    overrides: tuple[str, ...] = ()
    num_steps: int = 3
    num_warmup: int = 1
    num_threads: int = 1


def measure(case: Case) -> dict[str, Any]:
    """Figures of a case, or `error` with the sentence that ended it (a batch too large for the device)."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure_here, case).result()


def _measure_here(case: Case) -> dict[str, Any]:
    torch.set_num_threads(case.num_threads)
    keep_freed_memory()
    try:
        return _figures(case)
    except Panoptic3dError as error:
        return {"error": str(error)}


def _figures(case: Case) -> dict[str, Any]:
    config = load_training_config(Path(case.config), case.overrides)
    (stage,) = (stage for stage in stages_of(config) if stage.name == case.stage)
    device = choose_device(config)
    method, dataset = build_method(config), training_set(config.data)
    start_from(config, method.network)
    before_mib = peak_memory_mib(device)
    trainer = Trainer(config, method, dataset, RunFolder(Path("nowhere")), device, StopRequest())
    trainer.step = stage.end - 1
    trainer.enter(stage)
    for _ in range(case.num_warmup):
        _step(trainer, stage.end - 1)
    _synchronise(device)
    trainer.clock.read()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    num_samples = sum(_step(trainer, stage.end - 1) for _ in range(case.num_steps))
    _synchronise(device)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    seconds = {name: value / case.num_steps for name, value in trainer.clock.read().items()}
    return {
        "steps_per_s": round(case.num_steps / wall_s, 4),
        "samples_per_s": round(num_samples / wall_s, 4),
        "cpu_s_a_step": round(cpu_s / case.num_steps, 3),
        "cpu_s_a_sample": round(cpu_s / num_samples, 4),
        "seconds_a_step": {name: round(value, 4) for name, value in seconds.items()},
        "bound": _bound(seconds, wall_s / case.num_steps),
        "peak_memory_mib": peak_memory_mib(device),
        "of_it_before_the_first_step_mib": before_mib,
    }


def _step(trainer: Trainer, step: int) -> int:
    trainer.step = step  # the same work each time
    return trainer.train_step().num_samples


def _bound(seconds: Mapping[str, float], step_s: float) -> str:
    return "data" if seconds.get("data", 0.0) > _DATA_BOUND_ABOVE * step_s else "compute"


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Plain text, a line a row; what a row lacks is left empty."""
    cells = [list(columns), *([_cell(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[c]) for line in cells) for c in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
