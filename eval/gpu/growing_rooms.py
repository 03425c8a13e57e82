"""Rooms that are made beside a training, and the list of those that are done."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import yaml

from panoptic3d.engine.generation.plan import SplitRecipe, load_recipe
from panoptic3d.engine.generation.run import read_records
from panoptic3d.errors import Panoptic3dError
from panoptic3d.files import write_text_atomically

_POLL_S = 0.5


class GrowingRooms(AbstractContextManager):
    """`data generate` in a process of its own, which yields the cores to the training and ends with the block."""

    def __init__(self, folder: Path, words: Sequence[str], num_workers: int) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "panoptic3d", "data", "generate", "--out", str(folder), *words]
        self._process = subprocess.Popen(
            [*command, "--workers", str(num_workers)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.nice(10),
            stdout=subprocess.DEVNULL,
        )

    def keys(self) -> list[str]:
        """Samples that are whole, in the order in which they were done."""
        return list(read_records(self.folder))

    def wait_for(self, count: int, until_s: float) -> list[str]:
        """At least so many; fewer where the time or the rooms end before."""
        while len(keys := self.keys()) < count and time.monotonic() < until_s:
            if self._process.poll() not in (None, 0):
                raise Panoptic3dError(f"making rooms in {self.folder} ended with exit code {self._process.returncode}.")
            if self._process.poll() == 0:
                return self.keys()
            time.sleep(_POLL_S)
        return keys

    def __exit__(self, *_: object) -> None:
        """Its workers leave with it; the rooms in the making are lost."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()


def training_words(num_samples: int, first_room: int, recipe: str, scratch: Path) -> list[str]:
    """Of the recipe's training rooms those from the given one on: no call makes the rooms of another."""
    whole = load_recipe(recipe)
    train = whole.splits["train"]
    rest = SplitRecipe(first_seed=train.first_seed + first_room, num=train.num)
    part = scratch / "training-rooms.yaml"
    scratch.mkdir(parents=True, exist_ok=True)
    tree = whole.model_copy(update={"splits": {"train": rest}}).model_dump(mode="json")
    write_text_atomically(part, yaml.safe_dump(tree))
    return [f"--recipe={part}", "--split=train", f"--num={num_samples}"]


def test_words(num_samples: int, recipe: str) -> list[str]:
    return [f"--recipe={recipe}", "--split=test", f"--num={num_samples}"]


def next_room(folder: Path, first_room: int, recipe: str) -> int:
    """The training room after the last one of which anything is there."""
    first_seed = load_recipe(recipe).splits["train"].first_seed
    names = [path.name for path in folder.glob("room-*")]
    return max((int(name.rpartition("-")[2]) - first_seed + 1 for name in names), default=first_room)
