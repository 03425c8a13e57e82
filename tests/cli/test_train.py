"""The words of `panoptic3d train`."""

import io
import json
import logging
import sys
from pathlib import Path

import pytest
import yaml

from panoptic3d.cli import main
from panoptic3d.cli import train as train_verb
from panoptic3d.config import load_config
from panoptic3d.engine.methods.table import training_config_of
from panoptic3d.engine.training.checkpoint import all_checkpoints
from panoptic3d.engine.training.report import Progress
from panoptic3d.engine.training.run import STEP_LINE


@pytest.mark.parametrize(
    ("text", "words", "sentence"),
    [
        (None, [], "there is no config"),
        (
            "data: {root: x}",
            [],
            "`method` is None; give the name of one (clearview, panorecon, uni3d, buol, pooled-queries)",
        ),
        ("method: panorekon", [], "there is no method 'panorekon'; choose from clearview, panorecon"),
        ("method: no.such:Thing", [], "cannot be imported"),
        ("method: pathlib:Path", [], "is no subclass of panoptic3d.engine.methods.base.Method"),
        ("method: panorecon", ["--lodaer.batch_size", "2"], "unknown key `lodaer` (did you mean `loader`?)"),
        ("method: panorecon", ["--profile", "all"], "--profile takes a number of steps, not 'all'"),
        ("method: panorecon", ["--optimizer.learning_rate", "fast"], "`optimizer.learning_rate` is 'fast'"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    text: str | None, words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "run.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["train", str(path), *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("configs/*/*.yaml")), ids=lambda path: path.stem)
def test_every_config_that_has_stages_is_one_of_a_run(path: Path) -> None:
    from panoptic3d.config import read_yaml_tree

    tree = read_yaml_tree(path)
    if "stages" in tree:
        assert load_config(training_config_of(tree["method"]), path).num_steps > 0


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _say(times: int) -> None:
    log = logging.getLogger("panoptic3d.of_a_test")
    for _ in range(times):
        with train_verb._shown_log():
            log.info("joint 1/2, loss 3", extra={STEP_LINE: True})
            log.info("saved")
    log.info("nobody trains")


def test_each_line_of_a_run_is_shown_once_however_many_runs_there_were(capsys: pytest.CaptureFixture) -> None:
    _say(times=3)
    assert capsys.readouterr().err == 3 * "joint 1/2, loss 3\nsaved\n"


def test_a_terminal_shows_a_progress_line_and_what_is_not_about_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    draw = train_verb._observer()
    draw(Progress(1, 4, 0.5, None, seconds_a_step=1.5, seconds_left=3700.0))
    draw(Progress(2, 4, None, 0.125, seconds_a_step=1.5, seconds_left=3.0))
    _say(times=1)
    assert terminal.getvalue().split("\r\x1b[K")[1:] == [
        "step 1 of 4 (25%), loss 0.5, 1.5 s a step, ETA 1:01:40",
        "step 2 of 4 (50%), not finite, best PRQ 12.50, 1.5 s a step, ETA 0:00:03",
        "saved\n",
    ]


@pytest.mark.slow
def test_train_resume_dry_run_and_replay(tmp_path: Path, capsys: pytest.CaptureFixture, small_rooms: Path) -> None:
    tree = {
        "method": "tests.engine.small_method:SmallMethod",
        "settings": {"width": 2, "poison": ["room/0003"]},
        "data": {"root": str(small_rooms)},
        "stages": [{"name": "a", "steps": 5}],
        "device": "cpu",
        "folder": str(tmp_path / "run"),
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(tree))
    assert main(["train", str(path), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "stage a: steps 0 to 5" in plan
    assert "2d: " in plan
    assert "MiB" in plan
    assert "the whole run: about " in plan
    assert not (tmp_path / "run").exists()
    assert main(["train", str(path), "--stages", "[{name: a, steps: 3}]"]) == 0
    assert capsys.readouterr().err.count("done: 3 steps") == 1
    assert main(["train", str(path), "--resume", "never"]) == 2
    assert "would mix two runs" in capsys.readouterr().err
    assert main(["train", str(path), "--log_every", "1", "--resume", "auto", "--profile", "1"]) == 0
    told = capsys.readouterr().err
    assert told.count("done: 5 steps") == 1
    assert "ETA 0 s\n" in told
    assert told.splitlines()[-1] == f"try it: panoptic3d predict PHOTO --checkpoint {tmp_path}/run/checkpoints/latest"
    profile = tmp_path / "run" / "profile"
    assert "aten::" in (profile / "operators.txt").read_text()
    spans = {event.get("name") for event in json.loads((profile / "trace.json").read_text())["traceEvents"]}
    assert {"data", "forward", "backward", "step"} <= spans
    assert all_checkpoints(tmp_path / "run" / "checkpoints")[0].name == "step-00000005"
    (dump,) = (tmp_path / "run" / "faults").iterdir()
    assert main(["train", str(path), "--replay", str(dump)]) == 0
    said = capsys.readouterr().out
    assert "not finite: depth is nan" in said
    assert "room/0003" in said
