"""The folder of a run: what ran, on what, from where, and a lock so that two processes never write one run.

```
RUN/config.yaml        the resolved config, from which the run can be repeated
    run.json           fingerprint, commit, versions, data, and every start of the run
    metrics.jsonl      every number that was logged, one line a record
    train.log          the same lines that a terminal shows
    checkpoints/       step-NNNNNNNN/, best, latest
    faults/            batches with a loss that was not finite
    profile/           with `train --profile N`
```
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panoptic3d import distributed
from panoptic3d.config import dump_yaml, fingerprint
from panoptic3d.data.dataset import SampleDataset
from panoptic3d.data.roots import MANIFEST
from panoptic3d.engine.training.checkpoint import sweep
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import sha256_of_file, sweep_partial_files, write_text_atomically
from panoptic3d.machine import describe_machine

_NUM_STAMPED = 1000  # samples of which the sizes of the files are part of the data's hash


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    @property
    def faults(self) -> Path:
        return self.path / "faults"

    @property
    def facts(self) -> Path:
        return self.path / "run.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other processes out of it. The lock ends with the block, and with the process."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held as long as the run
        except OSError as error:
            raise InputError(f"the run folder {self.path} cannot be made ({error.strerror}); give another.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise Panoptic3dError(f"another process trains in {self.path}; wait for it, or give --folder.") from None
        sweep(self.checkpoints)
        sweep_partial_files(self.path)
        with lock:
            yield

    @contextlib.contextmanager
    def log_to_file(self) -> Iterator[None]:
        handler = logging.FileHandler(self.path / "train.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("panoptic3d")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            handler.close()

    def read_facts(self) -> dict[str, Any]:
        try:
            return json.loads(self.facts.read_text())
        except (OSError, ValueError):
            return {}

    def write_start(self, config: TrainingConfig, dataset: SampleDataset, resumed_from: Path | None) -> None:
        """The config and one more entry in the list of starts."""
        write_text_atomically(self.path / "config.yaml", dump_yaml(config))
        start = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "resumed_from": resumed_from.name if resumed_from else None,
            "num_ranks": distributed.world_size(),
            "fingerprint": fingerprint(config),
            **describe_machine(),
            "is_dirty": describe_machine()["commit"].endswith("-dirty"),
            "packages": _packages(),
            "data": data_facts(dataset),
        }
        facts = self.read_facts()
        facts |= {"fingerprint": fingerprint(config), "seed": config.seed, "starts": [*facts.get("starts", []), start]}
        self.write_facts(facts)

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        write_text_atomically(self.facts, json.dumps(facts, indent=1) + "\n")


def data_facts(dataset: SampleDataset) -> dict[str, Any]:
    """Split and hash of a data set: changes when its list, its manifest or the size of one of its files does (of files of
    a thousand samples spread over a larger set).
    """
    root, keys = dataset.root, dataset.split.keys
    digest = hashlib.sha256(dataset.split.sha256.encode())
    if (root.path / MANIFEST).exists():
        digest.update(sha256_of_file(root.path / MANIFEST).encode())
    for key in keys[:: max(1, len(keys) // _NUM_STAMPED)]:
        for path in sorted(root.files(key)):
            digest.update(f"{path.relative_to(root.path)} {path.stat().st_size}\n".encode())
    return {
        "root": str(root.path),
        "layout": root.layout,
        "sha256": digest.hexdigest(),
        "split": dataset.split.describe(),
    }


def _packages() -> dict[str, str]:
    return {str(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
