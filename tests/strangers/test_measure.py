"""Somebody adds a measure: an object of a package outside of the project, through records, processes and tables."""

import json
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.engine.evaluation.run import carry_out
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.metrics.measure import load_measure
from tests.engine.conftest import Workshop, finished_workshop  # noqa: F401 - a fixture
from tests.strangers.examples import write_examples


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_examples(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_a_strangers_measure_has_its_rows_in_records_and_its_numbers_in_results(
    package: None,
    finished_workshop: Workshop,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    out, records = tmp_path / "out.json", tmp_path / "records.jsonl"
    order = finished_workshop.order(
        measures=("house_of_rooms.measure:SHARE", "ap", "pq-scene", "depth"), json=str(out), records=str(records)
    )
    assert carry_out(order) == 0
    measured = json.loads(out.read_text())["measures"]
    assert measured["share of labelled voxels"]["num_samples"] == 3
    assert measured["share of labelled voxels"]["share"] == pytest.approx(1, abs=0.1)
    assert measured["depth"] == {"num_samples": 0}  # files say none
    assert "share of labelled voxels: measure" in capsys.readouterr().out
    again = finished_workshop.order(predictions=None, rescore=str(records), measures=("ap",), json=str(out))
    assert carry_out(again) == 0
    assert json.loads(out.read_text())["measures"]["ap"] == measured["ap"]


_OF_OURS = """
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.metrics.quality_measure import PanopticReconstruction
from panoptic3d.metrics.surface_measure import SurfaceMeasure
from panoptic3d.metrics.surface_protocol import load_surface_protocol

STRICT = PanopticReconstruction(load_protocol("strict"))
DPA = SurfaceMeasure(load_surface_protocol("dpa"))
"""


def test_prq_and_surfaces_are_measures_with_the_numbers_of_their_own_options(
    finished_workshop: Workshop,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    (tmp_path / "measures_of_ours.py").write_text(_OF_OURS)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("measures_of_ours:STRICT", "measures_of_ours:DPA")
    out = tmp_path / "out.json"
    assert carry_out(finished_workshop.order(surfaces=("dpa",), measures=names, json=str(out))) == 0
    result = json.loads(out.read_text())
    assert result["measures"]["dpa"] == result["surfaces"]["dpa"]
    assert all(result["measures"]["strict"][key] == result[key] for key in ("prq", "rsq", "rrq"))
    assert all(result["measures"]["strict"][f"things {key}"] == result["things"][key] for key in ("prq", "rsq", "rrq"))
    shown = capsys.readouterr().out
    assert shown.count("dpa: surfaces") == 2
    assert "strict: measure" in shown


def test_truth_as_prediction_has_full_marks_and_a_shift_has_not(
    finished_workshop: Workshop,  # noqa: F811
    tmp_path: Path,
) -> None:
    found = {}
    for scene in ("a", "b"):  # those of b lie a voxel too deep
        (tmp_path / "split.txt").write_text(f"{scene}/0000\n")
        out = tmp_path / f"{scene}.json"
        carry_out(
            finished_workshop.order(split=str(tmp_path / "split.txt"), measures=("ap", "pq-scene"), json=str(out))
        )
        found[scene] = json.loads(out.read_text())["measures"]
    assert (found["a"]["ap"]["ap"], found["a"]["pq-scene"]["pq"]) == (1, 1)
    assert found["b"]["pq-scene"]["pq"] < 1
    assert np.isfinite(found["b"]["ap"]["ap"])


def test_what_is_no_measure_is_refused(package: None, finished_workshop: Workshop, tmp_path: Path) -> None:  # noqa: F811
    for name, sentence in (
        ("sharpness", "there is no measure 'sharpness'; choose from ap, pq-scene, depth"),
        ("house_of_rooms.measure:Share", "is no object with `name`, `score` and `merge`"),
        ("house_of_rooms.measure:GLARE", "cannot be imported"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            load_measure(name)
    records = tmp_path / "records.jsonl"
    carry_out(finished_workshop.order(json=None, records=str(records)))
    with pytest.raises(InputError, match="knows nothing of the measure ap"):
        carry_out(finished_workshop.order(predictions=None, rescore=str(records), measures=("ap",), json=None))
