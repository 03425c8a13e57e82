"""Evaluation of prediction files, end to end on tiny rooms: nothing is left out, everything is named, nothing is lost."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.engine.evaluation import score as evaluation
from panoptic3d.engine.evaluation.run import carry_out
from panoptic3d.errors import BadFileError, InputError, Panoptic3dError
from panoptic3d.metrics.protocol import built_in_protocols
from tests.engine.conftest import Workshop

_CONTRACT_KEYS = {
    "protocol", "num_samples", "num_failed", "prq", "rsq", "rrq", "things", "stuff", "per_class", "split", "checkpoint",
    "commit", "hardware",
}  # fmt: skip


def _result(shop: Workshop) -> dict:
    return json.loads((shop.folder / "out.json").read_text())


def test_a_result_holds_what_the_contract_names(finished_workshop: Workshop, capsys: pytest.CaptureFixture) -> None:
    assert carry_out(finished_workshop.order()) == 0
    result = _result(finished_workshop)
    assert result.keys() >= _CONTRACT_KEYS
    assert set(result["per_class"]) == {"sofa", "wall", "floor"}
    assert set(result["per_class"]["sofa"]) >= {"prq", "rsq", "rrq", "iou_sum", "tp", "fp", "fn", "n"}
    assert (result["num_samples"], result["num_failed"]) == (4, 0)
    assert result["split"] | {"sha256": ""} == {"name": "test", "sha256": "", "size": 4}
    assert 0.5 < result["prq"] < 1
    assert result["interval"]["num_scenes"] == 3
    low, high = result["interval"]["prq"]
    assert low <= result["prq"] <= high
    assert "PRQ within" in capsys.readouterr().out


def test_several_protocols_make_a_list(finished_workshop: Workshop) -> None:
    carry_out(finished_workshop.order(protocols=built_in_protocols()))
    assert [result["protocol"] for result in _result(finished_workshop)] == list(built_in_protocols())


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


_HOSTILE = {
    "missing": lambda path, spoil: path.unlink(),
    "wrong_shape": lambda path, spoil: spoil(path, semantic=np.zeros((3, 3, 3), np.uint8)),
    "wrong_key": lambda path, spoil: spoil(path, instance=None),
    "nan_distance": lambda path, spoil: spoil(path, distance_field=np.full((32, 28, 36), np.nan, np.float16)),
    "wide_instance": lambda path, spoil: spoil(path, instance=np.full((32, 28, 36), 65_536, np.int32)),
    "bad_class": lambda path, spoil: spoil(path, semantic=np.full((32, 28, 36), 77, np.uint8)),
    "truncated": lambda path, spoil: _cut(path),
}


@pytest.mark.parametrize("reason", _HOSTILE)
def test_a_bad_prediction_counts_as_nothing_and_is_named(
    workshop: Workshop, reason: str, spoil, capsys: pytest.CaptureFixture
) -> None:
    key = "a/0001"
    _HOSTILE[reason](workshop.prediction(key), spoil)
    assert carry_out(workshop.order()) == 0
    result = _result(workshop)
    assert (result["num_samples"], result["num_failed"]) == (4, 1)
    assert [(f["key"], f["reason"]) for f in result["failures"]] == [(key, reason)]
    assert str(workshop.prediction(key)) in result["failures"][0]["message"]
    assert all(score["n"] == 4 and score["fn"] == 1 for score in result["per_class"].values())
    assert f"1 failed, scored as nothing predicted: {key} ({reason})" in capsys.readouterr().out


def test_an_empty_ground_truth_is_scored_and_named(workshop: Workshop, spoil) -> None:
    path = workshop.data / "a" / "segmentation_0000.mapped.npz"
    spoil(path, data=np.zeros((2, 32, 28, 36), np.int32))
    assert carry_out(workshop.order()) == 0
    result = _result(workshop)
    assert [w["key"] for w in result["warnings"]] == ["a/0000"]
    assert "empty_truth" in result["warnings"][0]["message"]
    assert all(score["fp"] == 1 for score in result["per_class"].values())


def test_a_corrupted_ground_truth_is_named_and_fails_the_work(workshop: Workshop) -> None:
    _cut(workshop.data / "b" / "geometry_0000.npz")
    with pytest.raises(
        Panoptic3dError, match="1 of 4 images could not be scored because of their ground truth"
    ) as caught:
        carry_out(workshop.order())
    assert caught.value.exit_code == 1
    result = _result(workshop)
    assert (result["num_samples"], result["num_bad_truth"]) == (3, 1)
    assert (result["bad_truth"][0]["key"], result["bad_truth"][0]["reason"]) == ("b/0000", "truncated")


def test_what_was_scored_is_not_scored_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out(workshop.order())
    before = _result(workshop)
    records = workshop.folder / "out.records.jsonl"
    lines = records.read_text().splitlines()
    assert len(lines) == 4
    # As if killed: one whole line in the notebook of a rank, and half of another.
    records.write_text(f"{lines[0]}\n")
    records.with_name(f"{records.name}.rank1").write_text(f"{lines[1]}\n{lines[2][:100]}")
    scored = []
    score_key = evaluation.score_key
    monkeypatch.setattr(evaluation, "score_key", lambda plan, key: scored.append(key) or score_key(plan, key))
    carry_out(workshop.order())
    assert scored == ["b/0000", "c/0000"]
    assert _result(workshop) == before
    assert [path.name for path in workshop.folder.glob("*rank*")] == []


def test_a_changed_prediction_is_scored_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out(workshop.order())
    workshop.prediction("a/0000").unlink()
    carry_out(workshop.order())
    assert [f["key"] for f in _result(workshop)["failures"]] == ["a/0000"]


def test_records_alone_give_the_same_score_and_another_threshold(workshop: Workshop, tmp_path: Path) -> None:
    carry_out(workshop.order())
    before = _result(workshop)
    records = str(workshop.folder / "out.records.jsonl")
    from_records = {"predictions": None, "data": None, "rescore": records, "records": str(tmp_path / "unused.jsonl")}
    carry_out(workshop.order(**from_records))
    after = _result(workshop)
    assert {key for key in before if before[key] != after[key]} == {"source"}
    severe = tmp_path / "severe.yaml"
    parent = Path(__file__).parents[2] / "panoptic3d" / "metrics" / "assets" / "protocols" / "strict.yaml"
    severe.write_text(f"extends: {parent}\nname: severe\nmatching: {{iou_above: 0.9}}\n")
    carry_out(workshop.order(**from_records, protocols=(str(severe),)))
    assert _result(workshop)["prq"] < before["prq"]
    assert _result(workshop)["rsq"] > before["rsq"]


def test_records_cannot_answer_what_needs_volumes(workshop: Workshop) -> None:
    carry_out(workshop.order())
    records = str(workshop.folder / "out.records.jsonl")
    with pytest.raises(InputError, match="none that buol could use"):
        carry_out(workshop.order(predictions=None, rescore=records, protocols=("buol",)))


@pytest.mark.parametrize("oracle", ["geometry", "semantics", "masks", "layout"])
def test_oracles_say_that_they_are_no_score_and_help(
    workshop: Workshop, oracle: str, capsys: pytest.CaptureFixture
) -> None:
    carry_out(workshop.order())
    plain = _result(workshop)
    carry_out(workshop.order(oracles=(oracle,)))
    result = _result(workshop)
    assert result["oracles"] == [oracle]
    assert f"NOT a score of the method: {oracle} taken from the ground truth" in capsys.readouterr().out
    if oracle in ("semantics", "masks"):  # labels are right already, only a voxel too deep
        assert result["prq"] == pytest.approx(plain["prq"], abs=0.05)
    else:
        assert result["prq"] > plain["prq"]


def test_sensitivity_says_what_small_changes_do(workshop: Workshop) -> None:
    carry_out(workshop.order(num_sensitivity=4))
    sensitivity = _result(workshop)["sensitivity"]
    assert sensitivity["num_samples"] == 4
    assert sensitivity["prq"] == _result(workshop)["prq"]
    changes = sensitivity["change_of_prq"]
    assert changes["prediction +1 voxel in y"] < 0
    assert changes["predicted ids in the opposite order"] == 0


def test_surfaces_are_scored_beside(workshop: Workshop, capsys: pytest.CaptureFixture) -> None:
    workshop.prediction("a/0001").unlink()
    carry_out(workshop.order(surfaces=("dpa", "icp")))
    result = _result(workshop)
    scores = result["surfaces"]["dpa"]
    assert (scores["num_samples"], scores["num_without_surface"]) == (4, 1)
    # Two of three are perfect and one is one voxel (10 cm) too deep.
    assert 0.01 < scores["chamfer"] < 0.05
    assert scores["chamfer_objects"] is not None
    assert scores["at"][0]["f_score"] < 0.75
    assert result["surfaces"]["icp"]["chamfer"] < scores["chamfer"]
    assert "1 without a surface: F is 0, distances are left out" in capsys.readouterr().out
    assert 0 < result["voxels"]["mean_iou"] < 1


def test_reports_are_whole_files_without_network(workshop: Workshop) -> None:
    files = {name: str(workshop.folder / f"out.{name}") for name in ("html", "markdown", "latex")}
    carry_out(workshop.order(**files, num_worst=2))
    page = Path(files["html"]).read_text()
    assert page.count("<figure>") == 2
    assert page.count("data:image/png;base64,") == 10
    assert "http" not in re.sub("base64,[^']*'", "", page)
    assert "b/0000: PRQ of the image" in page
    assert "| sofa |" in Path(files["markdown"]).read_text()
    latex = Path(files["latex"]).read_text()
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": "nowhere"}, "nowhere is no folder"),
        ({"split": "nowhere"}, "there is no split 'nowhere'"),
        ({"protocols": ("strict", "strict")}, "two protocols bear the same name"),
        ({"json": "nowhere/out.json"}, "the folder of nowhere/out.json does not exist"),
        ({"data": "nowhere"}, "the data root nowhere is no folder"),
        pytest.param(
            {"device": "cuda"},
            "torch finds no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here"),
        ),
    ],
)
def test_a_wrong_call_is_refused_before_the_work(finished_workshop: Workshop, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        carry_out(finished_workshop.order(**change))


def test_a_folder_without_any_prediction_is_a_wrong_path(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no prediction of any of the 4 images .* such as a_0000\.npz"):
        carry_out(workshop.order(predictions=str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "reason"), [("a/0000 extra\n", "bad_line"), ("", "empty"), ("a/0000\na/0000\n", "duplicate")]
)
def test_a_bad_split_is_named(workshop: Workshop, text: str, reason: str) -> None:
    workshop.split.write_text(text)
    with pytest.raises(BadFileError) as caught:
        carry_out(workshop.order())
    assert caught.value.reason == reason


def test_a_split_is_found_by_its_name_beside_the_data(workshop: Workshop) -> None:
    (workshop.data / "splits").mkdir()
    (workshop.data / "splits" / "val.txt").write_text("a/0000\n")
    carry_out(workshop.order(split="val"))
    assert _result(workshop)["split"]["name"] == "val"
