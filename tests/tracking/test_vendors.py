"""Followers made by others: one contract, skipped where the package is absent, and a sentence for who lacks it."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from panoptic3d.errors import MissingPartError
from panoptic3d.optional import is_installed
from panoptic3d.tracking.tensorboard_tracker import TensorboardTracker
from panoptic3d.tracking.tracker import Tracker
from panoptic3d.tracking.wandb_tracker import WandbTracker


def _tell(tracker: Tracker, folder: Path) -> None:
    glb = folder / "scene.glb"
    glb.write_bytes(b"glTF\x02\x00\x00\x00\x0c\x00\x00\x00")
    for step in (1, 2):
        tracker.numbers(step, {"train/loss": 1.0 / step, "faults/num_bad_samples": step})
    tracker.picture(2, "photo/room", torch.zeros((3, 4, 5), dtype=torch.uint8))
    tracker.mesh(2, "scene/room", glb)
    tracker.table(2, "validation/classes", ["class", "prq"], [["chair", 0.5], ["bed", 0.25]])
    tracker.close()


@pytest.mark.skipif(not is_installed("wandb"), reason="wandb is not installed: pip install 'panoptic3d[wandb]'")
@pytest.mark.filterwarnings("ignore::Warning")
def test_wandb_offline_leaves_a_run_that_its_own_reader_understands(tmp_path: Path) -> None:
    _tell(WandbTracker(tmp_path, "offline", "abc123", "panoptic3d", name="a run", config={"seed": 0}), tmp_path)
    (run,) = tmp_path.glob("wandb/offline-run-*-abc123")
    words = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(run)]
    listed = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert listed.returncode == 0
    assert "abc123" in listed.stdout + listed.stderr
    from wandb.proto import wandb_internal_pb2

    (file,) = run.glob("*.wandb")
    seen: set[str] = set()
    for data in _wandb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        seen |= {item.key or item.nested_key[0] for item in record.history.item}
    assert {"train/loss", "photo/room", "scene/room", "validation/classes"} <= seen


def _wandb_records(data: bytes) -> Iterator[bytes]:
    """The log format of LevelDB: blocks of 32 KiB with pieces of records, each behind its checksum, length and place."""
    position, record = 7, b""
    while position + 7 <= len(data):
        left_in_block = 32768 - position % 32768
        if left_in_block < 7:
            position += left_in_block
            continue
        length, place = struct.unpack_from("<HB", data, position + 4)
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if place in (1, 4):  # whole, last
            yield record
            record = b""


@pytest.mark.skipif(
    not is_installed("tensorboard"), reason="tensorboard is not installed: pip install 'panoptic3d[train]'"
)
@pytest.mark.filterwarnings("ignore::Warning")
def test_tensorboard_reads_back_what_it_was_told(tmp_path: Path) -> None:
    _tell(TensorboardTracker(tmp_path / "board"), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [1.0, 0.5]
    assert events.Images("photo/room")


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("wandb", lambda folder: WandbTracker(folder, "offline", "a", "p")),
        ("tensorboard", lambda folder: TensorboardTracker(folder)),
    ],
)
def test_a_missing_package_says_how_to_get_it(
    module: str, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError
    monkeypatch.setattr("panoptic3d.optional.is_installed", lambda name: False)
    with pytest.raises(
        MissingPartError, match=f"tracking.{module} needs {module}, which is not installed; get it with: pip install"
    ):
        make(tmp_path)
