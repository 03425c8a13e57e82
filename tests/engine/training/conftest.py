"""Tiny rooms, packed so that the command line reads them with their own grid, and short runs on them."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from panoptic3d.config import validate_config
from panoptic3d.engine.methods.table import training_config_of
from panoptic3d.engine.training.config import TrainingConfig

SMALL = "tests.engine.small_method:SmallMethod"


@pytest.fixture
def rooms(small_rooms: Path) -> Path:
    return small_rooms


@pytest.fixture
def broken_rooms(rooms: Path, tmp_path: Path) -> Path:
    """To do with as a test likes."""
    return Path(shutil.copytree(rooms, tmp_path / "rooms"))


@pytest.fixture
def small_run(rooms: Path, tmp_path: Path) -> Callable[..., TrainingConfig]:
    """The config of a run of a few steps; keyword arguments change its top keys."""

    def make(**changes: Any) -> TrainingConfig:
        tree = {
            "method": SMALL,
            "settings": {"width": 2},
            "data": {"root": str(rooms)},
            "stages": [{"name": "joint", "steps": 4}],
            "log_every": 1,
            "folder": str(tmp_path / "run"),
            "device": "cpu",
        }
        return validate_config(training_config_of(SMALL), tree | changes, origin="the test")

    return make


@pytest.fixture(autouse=True)
def audible() -> Iterator[None]:
    """As the command line does it."""
    logger = logging.getLogger("panoptic3d")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


@pytest.fixture
def torchrun(repository: Path) -> Callable[..., list[str]]:
    """The words that start a command on two ranks."""
    import sys

    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def words(*rest: str, num_ranks: int = 2, max_restarts: int = 0) -> list[str]:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}"]
        return [*start, f"--max-restarts={max_restarts}", "--monitor-interval=0.5", *rest]

    return words
