"""Training in short calls on a borrowed machine: what is carried on, how time becomes steps, and a rehearsal of two calls."""

import json
import time
from pathlib import Path

import pytest
import torch

from eval.gpu.growing_rooms import next_room, training_words
from eval.gpu.pace import Pace, StepWatch
from eval.gpu.state_files import grown, pack_run, read_checkpoint, shrunk, unpack_run
from eval.gpu.train_in_one_call import capped, main, process_start_s
from panoptic3d.engine.generation.plan import load_recipe
from panoptic3d.engine.training.checkpoint import Checkpoint, write_checkpoint
from panoptic3d.engine.training.config import StageConfig
from panoptic3d.engine.training.report import Progress
from panoptic3d.errors import BadFileError, InputError

_STAGES = (StageConfig(name="maps", steps=40), StageConfig(name="joint", steps=60))


def _progress(step: int) -> Progress:
    return Progress(step, 100, None, None, 1.0, 1.0)


def _planned(pace: Pace, seconds_left: float) -> list[int]:
    return [stage.steps for stage in pace.planned(_STAGES, seconds_left)]


def test_steps_follow_from_the_pace_and_the_time() -> None:
    assert _planned(Pace(), 100.0) == [40, 60]
    begun = {"steps": {"maps": 50}, "timed": {"maps": 50}, "seconds": {"maps": 10.0}}
    assert _planned(Pace(**begun), 90.0) == [200, 60]  # 40 % of 100 s, at 5 steps a second
    assert _planned(Pace(**begun, start_s=5.0), 95.0) == [200, 60]  # a round is not all steps
    assert _planned(Pace(**begun), 5.0) == [50, 60]  # its share is used up: on to the next
    both = {"maps": 200, "joint": 11}, {"maps": 200, "joint": 10}, {"maps": 40.0, "joint": 20.0}
    assert _planned(Pace(*both), 40.0) == [200, 31]  # all that is left is the last stage's
    assert _planned(Pace(*both), -3.0) == [200, 11]
    assert _planned(Pace({"maps": 200, "joint": 1}, {"maps": 200}, {"maps": 40.0}), 40.0) == [200, 60]


def test_a_watch_gives_each_step_to_its_stage() -> None:
    pace = Pace({"maps": 38}, {"maps": 30}, {"maps": 7.0})
    watch = StepWatch(pace, _STAGES)
    for step in (39, 40, 41, 42):
        watch(_progress(step))
    assert pace.steps == {"maps": 40, "joint": 2}
    assert pace.timed == {"maps": 31, "joint": 2}
    assert pace.seconds["maps"] >= 7.0
    assert pace.seconds["joint"] > 0
    assert pace.start_s >= 0


def test_a_call_begins_with_its_process() -> None:
    age_s = time.monotonic() - process_start_s()
    assert time.process_time() * 0.5 < age_s < 86_400


def test_a_cap_cuts_the_last_steps() -> None:
    assert [stage.steps for stage in capped(_STAGES, 200)] == [40, 60]
    assert [(stage.name, stage.steps) for stage in capped(_STAGES, 41)] == [("maps", 40), ("joint", 1)]
    assert [(stage.name, stage.steps) for stage in capped(_STAGES, 40)] == [("maps", 40)]


def test_no_call_makes_the_rooms_of_another(tmp_path: Path) -> None:
    assert next_room(tmp_path, 7, "rooms-v1") == 7
    for seed in (10000007, 10000012):
        (tmp_path / f"room-{seed}").mkdir()
    assert next_room(tmp_path, 7, "rooms-v1") == 13
    for first_room in (0, 13):
        recipe, split, num = training_words(8, first_room, "rooms-v1", tmp_path)
        plan = load_recipe(recipe.partition("=")[2]).plan("train", 8)
        assert (plan.first_seed, split, num) == (10000000 + first_room, "--split=train", "--num=8")
        assert plan.config == load_recipe("rooms-v1").generation


def _checkpoint(has_average: bool = True, scale: float = 1.0) -> Checkpoint:
    torch.manual_seed(0)
    weight = scale * torch.randn(40, 50)
    state = {0: {"step": torch.tensor(7.0), "exp_avg": torch.randn(40, 50), "exp_avg_sq": torch.rand(40, 50) * 1e-9}}
    training = {
        "format": 1,
        "step": 7,
        "network": {"w": weight + 0.01, "count": torch.tensor(3)} if has_average else None,
        "optimizer": {"state": state, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }
    return Checkpoint(7, {"w": weight, "count": torch.tensor(3)}, {"method": "m"}, {"step": 7}, training)


@pytest.mark.parametrize("has_average", [True, False])
def test_a_state_survives_the_journey_but_for_its_last_digits(tmp_path: Path, has_average: bool) -> None:
    checkpoint, run = _checkpoint(has_average), tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    write_checkpoint(run / "checkpoints", checkpoint)
    (run / "metrics.jsonl").write_text('{"step": 7}\n')
    parts = pack_run(run, tmp_path / "state", {"next_room": 5})
    assert sum(path.stat().st_size for path in parts) < 6 * 2000 + 8000
    assert unpack_run(tmp_path / "state", tmp_path / "again") == {"next_room": 5}
    found = read_checkpoint(tmp_path / "again" / "checkpoints" / "latest")
    assert (tmp_path / "again" / "metrics.jsonl").read_text() == '{"step": 7}\n'
    torch.testing.assert_close(found.weights["w"], checkpoint.weights["w"], rtol=1e-3, atol=1e-6)
    assert found.weights["w"].dtype == torch.float32
    assert int(found.weights["count"]) == 3
    own, other = (each.training["optimizer"]["state"][0] for each in (found, checkpoint))
    assert own["step"] == other["step"]
    torch.testing.assert_close(own["exp_avg_sq"], other["exp_avg_sq"], rtol=1e-2, atol=0)
    assert not own["exp_avg"].any()
    assert (found.training["network"] is None) == (not has_average)


def test_a_state_that_is_not_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="no checkpoint to carry on"):
        pack_run(run, tmp_path / "state", {})
    write_checkpoint(run / "checkpoints", _checkpoint())
    monkeypatch.setattr("eval.gpu.state_files.PART_BYTES", 4000)
    parts = pack_run(run, tmp_path / "state", {})
    assert len(parts) > 2
    assert all(path.stat().st_size <= 4000 for path in parts)
    unpack_run(tmp_path / "state", tmp_path / "whole")
    parts[1].unlink()
    with pytest.raises(BadFileError, match=f"{len(parts) - 1} of {len(parts)} parts"):
        unpack_run(tmp_path / "state", tmp_path / "again")
    with pytest.raises(InputError, match="does not fit a half float"):
        shrunk(_checkpoint(scale=1e6))


def test_growing_what_was_shrunk_changes_nothing_twice() -> None:
    once = grown(shrunk(_checkpoint()))
    twice = grown(shrunk(once))
    assert torch.equal(once.weights["w"], twice.weights["w"])
    assert torch.equal(once.training["network"]["w"], twice.training["network"]["w"])


@pytest.mark.slow
def test_two_calls_in_a_row(tmp_path: Path) -> None:
    """The script of the GPU on a CPU: rooms are made, two steps, then two more from the files of the first call."""
    small = ["settings.imagenet=false", "settings.network.fit={width: 80, height: 60}", "device=cpu", "log_every=1"]
    small += ["stages=[{name: joint, steps: 9}]"]
    words = ["--minutes", "60", "--reserve-s", "1800", "--room-workers", "1", "--first-samples", "1"]
    words += ["--train-samples", "4", "--test-samples", "1", "--max-steps", "2", "--threads", "1", "--no-baselines"]
    recipe = tmp_path / "boxes.yaml"
    tree = {
        "name": "boxes",
        "generation": {"rooms": "boxes", "views": 1},
        "splits": {"train": {"first_seed": 7, "num": 9}},
    }
    recipe.write_text(json.dumps(tree))
    words += ["--recipe", str(recipe), "--set", *small]
    for number in (1, 2):
        state = [] if number == 1 else ["--state", str(tmp_path / "out-1")]
        out = tmp_path / f"out-{number}"
        assert main([*words, "--out", str(out), "--work", str(tmp_path / f"work-{number}"), *state]) == 0
        race = json.loads((out / "race.json").read_text())
        assert race["entrants"]["trained here"]["results"]["strict"]["num_samples"] == 1
        assert len([path for path in out.rglob("*") if path.is_file()]) <= 8
        assert max(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 16 * 2**20
        further = unpack_run(out, tmp_path / f"run-{number}")
        assert sum(further["pace"]["steps"].values()) == 2 * number
        assert further["num_calls"] == number
    records = (tmp_path / "run-2" / "metrics.jsonl").read_text()
    steps = [record["step"] for record in map(json.loads, records.splitlines()) if "train/loss" in record]
    assert steps == [1, 2, 3, 4]
