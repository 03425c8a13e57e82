"""Tiny rooms, packed so that the command line reads them with their own grid, and short runs on them."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from panoptic3d.config import validate_config
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import open_root
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.methods import training_config_of
from tests.data.conftest import CAMERA, GRID, make_sample

SMALL = "tests.engine.small_method:SmallMethod"
NUM_ROOMS = 5  # odd: two ranks cannot share them evenly


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: copy what you break."""
    base = tmp_path_factory.mktemp("rooms")
    for seed in range(NUM_ROOMS):
        sample = make_sample(seed, f"{seed:04d}")
        write_front3d_sample(base / "released", sample)
    assert sample.truth is not None
    write_frustum_mask(base / "released", sample.truth.frustum_mask)
    released = open_root(base / "released", camera=CAMERA, grid=GRID)
    report = pack_root(released, base / "packed", released.keys())
    assert not report.failed
    return base / "packed"


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
