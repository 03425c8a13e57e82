"""Short runs in one process: what they leave, how they go on, and what they bear."""

import importlib.metadata
import json
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from panoptic3d.engine.training.agreement import explained_loss_of_ranks
from panoptic3d.engine.training.checkpoint import read_weights
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.faults import explained_memory, read_dump
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED, StopRequest
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.structures.batch import Batch, collate
from panoptic3d.tracking.json_lines import read_json_lines

_ALL = ["room/0000", "room/0001", "room/0002", "room/0003", "room/0004"]


def _final(config: TrainingConfig) -> dict[str, torch.Tensor]:
    assert config.folder is not None
    return read_weights(Path(config.folder) / "checkpoints" / "latest")


def _metrics(config: TrainingConfig) -> list[dict]:
    assert config.folder is not None
    return [r for r in read_json_lines(Path(config.folder) / "metrics.jsonl") if "train/loss" in r]


def _facts(config: TrainingConfig) -> dict:
    assert config.folder is not None
    return json.loads((Path(config.folder) / "run.json").read_text())


def _assert_same_weights(a: TrainingConfig, b: TrainingConfig) -> None:
    first, second = _final(a), _final(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_its_records_and_a_stopped_one_goes_on_to_the_bit(
    small_run: Callable[..., TrainingConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With everything that has a state: momentum, average, dropout, statistics of norms, two stages, a validation."""
    keys = {
        "settings": {"width": 2, "norm": "batch", "dropout": 0.3},
        "stages": [{"name": "2d", "steps": 2, "train": ["2d"]}, {"name": "joint", "steps": 3}],
        "ema_decay": 0.5,
        "validation": {"every": 2, "num_samples": 2},
        "checkpoint": {"every": 3},
        "schedule": {"name": "cosine", "warmup_steps": 1},
        "clip_norm": 1.0,
    }
    whole = small_run(**keys)
    assert train(whole, Resume()) == 0
    facts = _facts(whole)
    assert facts["end"]["step"] == 5
    assert len(facts["starts"][0]["data"]["sha256"]) == 64
    assert facts["starts"][0]["packages"]["torch"] == importlib.metadata.version("torch")
    records = _metrics(whole)
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5]
    assert {"seconds/data", "seconds/forward.depth", "seconds/backward", "seconds/step"} <= records[-1].keys()
    log = (tmp_path / "run" / "train.log").read_text()
    assert "joint 3/3, loss " in log
    assert "stage 2d took " in log
    assert f"--checkpoint {tmp_path / 'run' / 'checkpoints' / 'best'}" in log
    assert "train/classes" in (tmp_path / "run" / "curves.html").read_text()

    cut = small_run(**keys, folder=str(tmp_path / "cut"))
    for stop_at in (1, 3):  # noted in the step after
        assert train(cut, Resume(), _stopper(stop_at)) == EXIT_TO_BE_RESTARTED
    assert train(cut, Resume()) == 0
    _assert_same_weights(whole, cut)
    assert [r["train/loss"] for r in _metrics(cut)] == [r["train/loss"] for r in records]
    assert [s["resumed_from"] for s in _facts(cut)["starts"]] == [None, "step-00000002", "step-00000004"]
    assert train(cut, Resume()) == 0  # done is done
    with pytest.raises(InputError, match="--resume never would mix two runs"):
        train(cut, Resume("never"))


def _stopper(step: int, number: int = signal.SIGTERM) -> Callable:
    return lambda progress: os.kill(os.getpid(), number) if progress.step == step else None


def test_ctrl_c_saves_and_a_second_one_does_not_wait(small_run: Callable[..., TrainingConfig], tmp_path: Path) -> None:
    config = small_run(stages=[{"name": "a", "steps": 3}], checkpoint={"every": 100})
    whole = config.model_copy(update={"folder": str(tmp_path / "whole")})
    assert train(whole, Resume()) == 0
    assert train(config, Resume(), _stopper(1, signal.SIGINT)) == 75
    assert train(config, Resume()) == 0
    _assert_same_weights(whole, config)
    request = StopRequest()
    request.note(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        request.note(signal.SIGINT)


def test_a_loss_that_is_not_finite_is_skipped_counted_dumped_and_capped(
    small_run: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    settings = {"width": 2, "norm": "batch", "poison": ["room/0003"]}
    config = small_run(settings=settings, stages=[{"name": "a", "steps": 5}])
    assert train(config, Resume()) == 0
    (lost,) = _facts(config)["end"]["faults"]["non_finite_steps"]
    assert lost["keys"] == ["room/0003"]
    assert "depth is nan" in lost["what"]
    assert all(bool(torch.isfinite(w).all()) for w in _final(config).values())
    (dump,) = (tmp_path / "run" / "faults").iterdir()
    kept = read_dump(dump)
    assert kept["batch"].keys == ("room/0003",)
    assert kept["step"] == lost["step"]
    capped = small_run(settings=settings, folder=str(tmp_path / "capped"), faults={"max_non_finite_steps": 0})
    with pytest.raises(Panoptic3dError, match=r"1 steps were not finite and faults[.]max_non_finite_steps is 0"):
        train(small_run(**(_tree(capped) | {"settings": {"width": 2, "poison": _ALL}})), Resume())


def _tree(config: TrainingConfig) -> dict:
    return config.model_dump(mode="json")


@pytest.mark.slow
def test_a_bad_file_is_replaced_named_and_capped(
    small_run: Callable[..., TrainingConfig], broken_rooms: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = broken_rooms / "room" / "0002.p3d"
    path.write_bytes(path.read_bytes()[:-50])
    keys = {"data": {"root": str(broken_rooms)}, "stages": [{"name": "a", "steps": 5, "train": ["2d"]}]}
    config = small_run(**keys)
    assert train(config, Resume()) == 0
    faults = _facts(config)["end"]["faults"]
    assert list(faults["bad_samples"]) == ["room/0002"]
    assert "0002.p3d" in faults["bad_samples"]["room/0002"]
    assert _metrics(config)[-1]["faults/num_bad_samples"] == 1
    assert "room/0002" in (tmp_path / "run" / "train.log").read_text()
    capped = small_run(**keys, folder=str(tmp_path / "capped"), loader={"max_bad_samples": 0})
    with pytest.raises(Panoptic3dError, match=r"1 samples cannot be read and loader[.]max_bad_samples is 0"):
        train(capped, Resume())


def test_photos_of_several_sizes_are_one_step(
    small_run: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if each photo had a size of its own: the same step as that of one batch."""
    keys = {"settings": {"width": 2, "dtype": "float64"}, "stages": [{"name": "a", "steps": 2, "train": ["2d"]}]}
    keys |= {"optimizer": {"name": "sgd"}, "loader": {"batch_size": 3}}
    together, apart = small_run(**keys), small_run(**keys, folder=str(tmp_path / "apart"))
    train(together, Resume())
    monkeypatch.setattr("panoptic3d.data.loader.collate_by_size", lambda samples: tuple(collate([s]) for s in samples))
    train(apart, Resume())
    for name, weight in _final(together).items():
        assert torch.allclose(weight, _final(apart)[name], rtol=0, atol=1e-12)
    assert _metrics(apart)[-1]["train/loss"] == pytest.approx(_metrics(together)[-1]["train/loss"], rel=1e-9)


@pytest.mark.slow
def test_accumulated_batches_are_one_larger_batch(small_run: Callable[..., TrainingConfig], tmp_path: Path) -> None:
    keys = {"settings": {"width": 2, "dtype": "float64"}, "stages": [{"name": "a", "steps": 2}]}
    keys |= {
        "optimizer": {"name": "sgd"}
    }  # adam makes steps of one size out of gradients that are zero but for rounding
    large = small_run(**keys, loader={"batch_size": 2})
    parts = small_run(**keys, accumulation=2, folder=str(tmp_path / "parts"))
    train(large, Resume())
    train(parts, Resume())
    for name, weight in _final(large).items():
        assert torch.allclose(weight, _final(parts)[name], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_other_batch_sizes_go_on_and_say_what_changes(
    small_run: Callable[..., TrainingConfig], caplog: pytest.LogCaptureFixture
) -> None:
    stages = [{"name": "a", "steps": 4, "train": ["2d"]}]
    assert train(small_run(stages=stages), Resume(), _stopper(2)) == EXIT_TO_BE_RESTARTED
    with caplog.at_level(logging.WARNING):
        assert train(small_run(stages=stages, loader={"batch_size": 2}), Resume()) == 0
    assert "a step takes 2 of them in place of 1, and 1 of epoch 0 are seen a second time" in caplog.text
    assert "goes on with another config: loader.batch_size was 1 and is 2" in caplog.text


@pytest.mark.slow
def test_a_compiled_2d_part_learns_the_same(
    small_run: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured and differentiated as torch does it, run without its code generator, which needs a compiler."""
    plain = small_run(stages=[{"name": "a", "steps": 2}])
    compiled = small_run(stages=[{"name": "a", "steps": 2}], compile_2d=True, folder=str(tmp_path / "compiled"))
    train(plain, Resume())
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    train(compiled, Resume())
    losses = [[r["train/loss"] for r in _metrics(config)] for config in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert _final(plain).keys() == _final(compiled).keys()


def test_a_lost_rank_is_one_sentence_and_a_bug_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="gloo"), explained_loss_of_ranks():  # one process has nobody to lose
        raise RuntimeError("gloo: Connection reset by peer")
    monkeypatch.setattr("panoptic3d.distributed.is_distributed", lambda: True)
    monkeypatch.setattr("panoptic3d.distributed.rank", lambda: 3)
    with pytest.raises(Panoptic3dError, match="rank 3 lost another rank"), explained_loss_of_ranks():
        raise RuntimeError("[third_party/gloo/...] Timed out waiting 8000ms for recv operation to complete")
    with pytest.raises(RuntimeError, match="shape"), explained_loss_of_ranks():
        raise RuntimeError("shape mismatch")


def test_memory_that_ran_out_names_the_samples(small_batch: Batch) -> None:
    sentence = r"room/0000 \([\d,]+ voxels\).*Lower loader.batch_size"
    with pytest.raises(Panoptic3dError, match=sentence), explained_memory(small_batch, step=3):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="shape"), explained_memory(small_batch, step=3):
        raise RuntimeError("shape mismatch")


@pytest.fixture
def small_batch(rooms: Path) -> Batch:
    from panoptic3d.data.dataset import open_dataset
    from panoptic3d.structures.batch import collate

    return collate([open_dataset(rooms)[0]])
