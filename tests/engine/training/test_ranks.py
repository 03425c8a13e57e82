"""Two processes over gloo against one: the same losses, the same score; and what becomes of a job when a rank dies."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from panoptic3d.config import dump_yaml
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.training.config import TrainingConfig, ValidationConfig
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.engine.training.validation import Validated, validate
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.tracking.json_lines import read_json_lines
from tests.engine.small_method import SmallConfig, SmallMethod

pytestmark = pytest.mark.slow
_WAIT_S = 240


def _losses(folder: Path) -> list[float]:
    return [r["train/loss"] for r in read_json_lines(folder / "metrics.jsonl") if "train/loss" in r]


def _command(torchrun: Callable[..., list[str]], config: TrainingConfig, path: Path, **keys: int) -> list[str]:
    path.write_text(dump_yaml(config))
    return torchrun("-m", "panoptic3d", "train", str(path), **keys)


def _run(words: list[str], repository: Path) -> None:
    result = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=_WAIT_S)
    assert result.returncode == 0, result.stderr[-3000:]


def test_two_ranks_are_one_with_the_double_batch(
    small_run: Callable[..., TrainingConfig], torchrun: Callable[..., list[str]], tmp_path: Path, repository: Path
) -> None:
    """20 steps in float64, with parts that have no gradient at first, and a validation of five samples."""
    keys = {
        "settings": {"width": 2, "dtype": "float64", "steps_of_depth_alone": 4},
        "stages": [{"name": "a", "steps": 20}],
        "clip_norm": 0.5,
        "validation": {"every": 20},
    }
    assert train(small_run(**keys, loader={"batch_size": 2}), Resume()) == 0
    two = small_run(**keys, folder=str(tmp_path / "two"))
    _run(_command(torchrun, two, tmp_path / "two.yaml"), repository)
    one_losses, two_losses = _losses(tmp_path / "run"), _losses(tmp_path / "two")
    assert len(one_losses) == 20
    assert max(abs(a - b) for a, b in zip(one_losses, two_losses, strict=True)) < 1e-9


def test_the_score_is_the_same_to_the_last_digit_on_two_ranks(
    tmp_path: Path, torchrun: Callable[..., list[str]], rooms: Path, repository: Path
) -> None:
    """Five samples, one network, PRQ far from 0 and 1."""
    script = tmp_path / "score.py"
    script.write_text(_SCORE.format(rooms=str(rooms), out=str(tmp_path)))
    _run(torchrun(str(script), num_ranks=2), repository)
    result = validate(Nearly(SmallConfig()), open_dataset(rooms), ValidationConfig(every=1), torch.device("cpu"))
    assert result is not None
    assert (tmp_path / "two.json").read_text() == scores_text(result)
    assert result.num_samples == 5
    assert 0 < result.scores.all.prq < 1


class Nearly(SmallMethod):
    """The truth, moved by up to two voxels."""

    def scenes(self, batch: Batch) -> list[PanopticScene]:
        scene = PanopticScene.from_truth(batch.truths[0], batch.cameras[0])
        shift = int(batch.keys[0][-1]) % 3
        names = ("distance_vox", "semantic", "instance")
        return [replace(scene, **{name: torch.roll(getattr(scene, name), shift, 2) for name in names})]


def scores_text(result: Validated) -> str:
    return json.dumps({"num_samples": result.num_samples, **result.numbers(), "table": result.table()})


_SCORE = """
import torch
from pathlib import Path
from panoptic3d import distributed
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.training.config import ValidationConfig
from panoptic3d.engine.training.validation import validate
from tests.engine.small_method import SmallConfig
from tests.engine.training.test_ranks import Nearly, scores_text

distributed.start(torch.device("cpu"))
result = validate(Nearly(SmallConfig()), open_dataset("{rooms}"), ValidationConfig(every=1), torch.device("cpu"))
if distributed.is_main():
    Path("{out}", "two.json").write_text(scores_text(result))
distributed.leave(0)
"""


def _rank_pids(job: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def _wait_for_step(folder: Path, step: int) -> None:
    _wait_until(lambda: len(_losses(folder)) >= step)


def _wait_until(holds: Callable[[], bool]) -> None:
    begins_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begins_s < _WAIT_S
        time.sleep(0.1)


def test_a_dead_rank_makes_torchrun_go_on_and_without_restarts_left_ends_the_job_within_a_minute(
    small_run: Callable[..., TrainingConfig], torchrun: Callable[..., list[str]], tmp_path: Path, repository: Path
) -> None:
    config = small_run(stages=[{"name": "a", "steps": 200}], checkpoint={"every": 4})
    words = _command(torchrun, config, tmp_path / "run.yaml", max_restarts=1)
    with subprocess.Popen(words, cwd=repository, stderr=subprocess.PIPE, text=True) as job:
        _wait_for_step(tmp_path / "run", 6)
        os.kill(_rank_pids(job)[1], signal.SIGKILL)
        _wait_until(lambda: len(_starts(tmp_path / "run")) == 2)
        _wait_for_step(tmp_path / "run", 10)
        os.kill(_rank_pids(job)[1], signal.SIGKILL)
        killed_s = time.monotonic()
        _, errors = job.communicate(timeout=_WAIT_S)
    seconds = time.monotonic() - killed_s
    print(f"{seconds:.1f} s from the kill to the end of the job")
    assert job.returncode != 0
    assert seconds < 60
    assert "lost another rank" in errors
    assert _starts(tmp_path / "run")[1]["resumed_from"] >= "step-00000004"
    steps = [r["step"] for r in read_json_lines(tmp_path / "run" / "metrics.jsonl")]
    assert steps == list(range(1, len(steps) + 1))


def _starts(folder: Path) -> list[dict]:
    return json.loads((folder / "run.json").read_text())["starts"]


def test_a_signal_to_the_job_saves_and_more_ranks_go_on(
    small_run: Callable[..., TrainingConfig], torchrun: Callable[..., list[str]], tmp_path: Path, repository: Path
) -> None:
    """SIGTERM to torchrun reaches both ranks; then one process goes on where two stood."""
    config = small_run(stages=[{"name": "a", "steps": 15}], checkpoint={"every": 1000})
    words = _command(torchrun, config, tmp_path / "run.yaml")
    with subprocess.Popen(words, cwd=repository, stderr=subprocess.PIPE, text=True) as job:
        _wait_for_step(tmp_path / "run", 3)
        os.kill(job.pid, signal.SIGTERM)
        job.communicate(timeout=_WAIT_S)
    assert job.returncode != 0
    (saved,) = (path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert train(config, Resume()) == 0
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"goes on from {tmp_path / 'run' / 'checkpoints' / saved}" in log
    assert "goes on with 1 ranks x 1 samples where the run had 2 x 1" in log
