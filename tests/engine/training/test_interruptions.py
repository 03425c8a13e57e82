"""A run that is interrupted by SIGINT ten times, at random moments of its steps, equals an unbroken one to the bit."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from panoptic3d.engine.training.checkpoint import newest_intact, read_training, read_weights
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.report import Progress
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED
from panoptic3d.tracking.json_lines import read_json_lines

_STEPS, _TIMES = 60, 10
_KEYS = {  # everything that has a state
    "settings": {"width": 2, "norm": "batch", "dropout": 0.3},
    "stages": [{"name": "2d", "steps": 25, "train": ["2d"]}, {"name": "joint", "steps": 35}],
    "ema_decay": 0.9,
    "validation": {"every": 20, "num_samples": 2},
    "checkpoint": {"every": 1000},  # nothing but the signal saves
    "schedule": {"name": "cosine", "warmup_steps": 3},
    "clip_norm": 1.0,
}


@pytest.mark.slow
def test_ten_interruptions_change_no_bit_and_lose_no_step(
    small_run: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    draw = random.Random(25)
    whole, cut = small_run(**_KEYS, folder=str(tmp_path / "whole")), small_run(**_KEYS, folder=str(tmp_path / "cut"))
    assert train(whole, Resume()) == 0
    for step in sorted(draw.sample(range(1, _STEPS - 20), _TIMES)):
        seen: list[int] = []
        assert train(cut, Resume(), _interrupting(step, draw.uniform(0.0, 0.03), seen)) == EXIT_TO_BE_RESTARTED
        saved = newest_intact(tmp_path / "cut" / "checkpoints")
        assert saved is not None
        assert read_training(saved)["step"] == seen[-1]
    assert train(cut, Resume()) == 0
    first, second = (read_weights(tmp_path / name / "checkpoints" / "latest") for name in ("whole", "cut"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert _curve(tmp_path / "whole") == _curve(tmp_path / "cut")


def _interrupting(step: int, delay_s: float, seen: list[int]) -> Callable[[Progress], None]:
    """SIGINT to this process, some time after the first step from `step` on."""

    def observe(progress: Progress) -> None:
        if progress.step >= step and not any(number >= step for number in seen):
            threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT)).start()
        seen.append(progress.step)

    return observe


def _curve(run: Path) -> list[tuple[int, float]]:
    records = read_json_lines(run / "metrics.jsonl")
    return [(record["step"], record["train/loss"]) for record in records if "train/loss" in record]
