"""The race from its config to its table, on tiny rooms and files, and the records that budgets and curves are read from."""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from eval.race.budget import budget_of, checkpoint_of
from eval.race.curves import curves_of, draw
from eval.race.entrants import RaceConfig, predictions_of
from eval.race.exchange import exchanged
from eval.race.race import run
from eval.race.ship import ship
from eval.race.table import ablation_table, race_table
from panoptic3d.config import validate_config
from panoptic3d.data.predictions import prediction_path, write_prediction
from panoptic3d.data.roots import open_root
from panoptic3d.engine.evaluation import score as evaluation
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.errors import BadFileError, ConfigError, InputError
from panoptic3d.models.centre_grouping.decoder import CentreGrouping
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig, NeckConfig, RayConfig, VoxelNetConfig
from panoptic3d.structures.scene import PanopticScene

_SMALL = ClearviewConfig(
    neck=NeckConfig(width=16),
    rays=RayConfig(width=8),
    voxel_net=VoxelNetConfig(channels_64=(8, 8, 8), channels_128=8, channels_256=8),
)
_KEYS = ("a/0000", "a/0001", "b/0000")


def _config(root: Path, folder: Path, **changes: object) -> RaceConfig:
    entrants = {
        "perfect": {"kind": "files", "path": str(folder / "perfect")},
        "twin": {"kind": "files", "path": str(folder / "perfect")},
        "Mean room": {"kind": "mean-room", "path": str(root), "split": None, "num_samples": 3},
        "told": {"kind": "files", "path": str(folder / "perfect"), "oracles": ["masks"]},
        "looked": {"kind": "true-surface"},
    }
    split = folder / "all.txt"
    tree = {
        "data": str(root),
        "split": str(split),
        "entrants": entrants,
        "out": str(folder / "out"),
        "num_threads": 1,
        "num_resamples": 50,
    }
    return validate_config(RaceConfig, {**tree, "protocols": ["strict", "uni3d"], **changes}, "the test")


@pytest.fixture(scope="module")
def rooms(small_rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples of two scenes."""
    root = tmp_path_factory.mktemp("race") / "rooms"
    shutil.copytree(small_rooms, root)
    for number, key in enumerate(_KEYS):
        (root / key).parent.mkdir(exist_ok=True)
        (root / "room" / f"000{number}.p3d").rename(root / f"{key}.p3d")
    shutil.rmtree(root / "room")
    return root


@pytest.fixture(scope="module")
def folder(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With perfect predictions and the list of all samples."""
    data, tmp_path = open_root(rooms), tmp_path_factory.mktemp("entrants")
    for key in _KEYS:
        sample = data.read(key)
        assert sample.truth is not None
        path = prediction_path(tmp_path / "perfect", *key.split("/"))
        path.parent.mkdir(exist_ok=True)
        write_prediction(path, PanopticScene.from_truth(sample.truth, sample.camera))
    (tmp_path / "all.txt").write_text("".join(f"{key}\n" for key in _KEYS))
    return tmp_path


@pytest.fixture(scope="module")
def race(rooms: Path, folder: Path) -> dict[str, Any]:
    return run(_config(rooms, folder))


def test_a_race_from_config_to_table(
    race: dict[str, Any], rooms: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perfect, room = (race["entrants"][name]["results"]["strict"] for name in ("perfect", "Mean room"))
    assert perfect["prq"] == 1.0
    assert 0 < room["prq"] < 0.9
    assert race["entrants"]["Mean room"]["made"]["num_samples"] == 3
    assert race["entrants"]["perfect"]["visibility"]["hidden"]["f1"] == 1.0
    table = race_table(race)
    assert "| perfect | 100.00" in table
    assert "| told † | 100.00" in table
    assert "| looked † | " in table
    assert json.loads((folder / "out" / "race.json").read_text()) == json.loads(json.dumps(race))
    monkeypatch.setattr(evaluation, "score_key", lambda plan, key: pytest.fail("scored a second time"))
    assert run(_config(rooms, folder)) == race


def test_equal_entrants_differ_by_nothing(race: dict[str, Any]) -> None:
    twin, room = race["differences"]["twin"], race["differences"]["Mean room"]
    assert twin["protocols"]["strict"] | {"p_value": 0} == {
        "prq": 0.0, "interval": [0.0, 0.0], "p_value": 0, "relative": 0.0, "num_scenes": 2
    }  # fmt: skip
    assert twin["visibility"]["hidden"]["f1"] == {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert room["protocols"]["strict"]["interval"][0] > 0
    assert room["visibility"]["hidden"]["recall"]["difference"] > 0


def test_a_race_runs_over_a_prefix_and_refuses_a_longer_one(rooms: Path, folder: Path) -> None:
    entrants = {"perfect": {"kind": "files", "path": str(folder / "perfect")}}
    race = run(_config(rooms, folder, entrants=entrants, num_samples=2, out=str(folder / "prefix")))
    assert race["split"]["size"] == race["entrants"]["perfect"]["results"]["strict"]["num_samples"] == 2
    with pytest.raises(InputError, match="has 3 samples where 4 were asked for"):
        run(_config(rooms, folder, entrants=entrants, num_samples=4))


def test_a_config_that_cannot_be_meant_is_refused(rooms: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="no entrant"):
        _config(rooms, folder, reference="nobody")
    with pytest.raises(ConfigError, match="needs a `path`"):
        _config(rooms, folder, entrants={"a": {"kind": "files"}})
    twice = {name: {"kind": "files", "path": "x"} for name in ("a b", "A-B")}
    with pytest.raises(ConfigError, match="different folders"):
        _config(rooms, folder, entrants=twice)
    with pytest.raises(ConfigError, match="no maps to exchange"):
        _config(rooms, folder, entrants={"a": {"kind": "files", "path": "x", "given": ["depth"]}})


def _run(folder: Path, steps: int, start_from: Path | None = None, has_cpu: bool = True, num_ranks: int = 1) -> Path:
    """The records of a training with a batch of 2 that logged every 10 steps, 4 samples a second."""
    checkpoint = folder / "checkpoints" / f"step-{steps:08d}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    origin = {"step": steps, "stage": "joint", "family": "clearview", "is_average": True, "commit": "c"}
    (checkpoint / "origin.json").write_text(json.dumps(origin))
    (folder / "checkpoints" / "latest").symlink_to(checkpoint.name)
    config = {"loader": {"batch_size": 2}, "accumulation": 1, "seed": 3, "start_from": start_from and str(start_from)}
    (folder / "config.yaml").write_text(json.dumps(config))
    start = {
        "num_ranks": num_ranks,
        "hardware": "abacus",
        "num_threads": 1,
        "commit": "c",
        "data": {"split": {"name": "all", "sha256": "0" * 64, "size": 9}},
    }
    (folder / "run.json").write_text(json.dumps({"starts": [start]}))
    records = []
    for step in range(10, steps + 20, 10):  # a step more than the checkpoint has
        cpu = {"speed/cpu_s": 0.4} if has_cpu else {}
        records += [{"step": step, "speed/samples_per_s": 4.0, **cpu}, {"step": step, "validation/prq": step / 100}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_every_rank_costs_what_the_recorded_one_does(tmp_path: Path) -> None:
    budget = budget_of(checkpoint_of(_run(tmp_path / "run", 40, num_ranks=2)))
    assert budget is not None
    assert (budget["samples_seen"], budget["cpu_s"]) == (2 * 2 * 40, pytest.approx(2 * 40 * 0.4))


def test_a_budget_adds_up_over_the_runs_that_one_started_from(tmp_path: Path) -> None:
    first = _run(tmp_path / "2d", 40)
    second = _run(tmp_path / "3d", 20, start_from=first / "checkpoints" / "latest")
    budget = budget_of(checkpoint_of(second))
    assert budget is not None
    assert budget["samples_seen"] == 2 * 60
    assert budget["wall_s"] == pytest.approx(60 * 2 / 4)
    assert budget["cpu_s"] == pytest.approx(60 * 0.4)
    assert [part["run"] for part in budget["runs"]] == ["2d", "3d"]
    old = _run(tmp_path / "old", 20, start_from=first / "checkpoints" / "latest", has_cpu=False)
    unknown = budget_of(checkpoint_of(old))
    assert unknown is not None
    assert unknown["cpu_s"] is None
    assert budget_of(tmp_path) is None
    with pytest.raises(InputError, match="neither a checkpoint nor a run"):
        checkpoint_of(tmp_path)


def test_curves_are_a_picture_of_the_records(tmp_path: Path) -> None:
    first = _run(tmp_path / "2d", 20)
    second = _run(tmp_path / "3d", 20, start_from=first / "checkpoints" / "latest")
    curves = curves_of({"a <b>": str(first), "c": str(second)}, "validation/prq")
    assert curves["a <b>"] == [(20, 0.1), (40, 0.2), (60, 0.3)]
    assert curves["c"][0] == (60, 0.1)
    together = _run(tmp_path / "two ranks", 20, num_ranks=2)
    assert curves_of({"d": str(together)}, "validation/prq")["d"] == [(40, 0.1), (80, 0.2), (120, 0.3)]
    picture = ElementTree.fromstring(draw(curves, "PRQ"))
    lines = [element for element in picture.iter() if element.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 3]
    assert "a <b>" in {element.text for element in picture.iter()}
    with pytest.raises(InputError, match="no record of nonsense"):
        curves_of({"a": str(first)}, "nonsense")


def test_the_table_of_ablations_has_a_row_an_idea(race: dict[str, Any]) -> None:
    table = ablation_table({"race": race, "ideas": {"twin": "the other name"}, "note": "5 steps."})
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(race["entrants"])
    assert "| **all ideas** | 100.00" in table
    nothing = "+0.00 [+0.00, +0.00]"
    assert f"| the other name | 100.00 | {nothing} | 100.00 | {nothing} | 100.00 | {nothing} |" in table
    assert "5 steps." in table
    (mean_room,) = [row.split(" | ") for row in rows if "Mean room" in row]
    change = race["differences"]["Mean room"]
    assert mean_room[2].startswith(f"{100 * change['protocols']['strict']['prq']:+.2f} ")
    for column, side in ((4, "seen"), (6, "hidden")):
        assert mean_room[column].startswith(f"{100 * change['visibility'][side]['f1']['difference']:+.2f} ")
    assert mean_room[4] != mean_room[6]


@pytest.mark.slow
def test_an_entrant_with_another_filling_has_the_same_weights(rooms: Path, folder: Path, tmp_path: Path) -> None:
    """BUOL's grouping behind clearview's voxels: a row by YAML alone."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(_SMALL.model_dump_json())
    save_file(build_clearview(_SMALL).state_dict(), checkpoint / "model.safetensors")
    grouped = {"decode": {"name": "centres", "centres": "seeds"}}
    row = {"path": str(checkpoint), "network": grouped}
    entrants = {"grouped": row, "given": row | {"given": ["depth", "classes", "instances"]}}
    config = _config(rooms, folder, entrants=entrants)
    for name, entrant in config.entrants.items():
        assert entrant.is_score == (name == "grouped")
        predictions = predictions_of(entrant, torch.device("cpu"), tmp_path / name)
        assert isinstance(predictions, NetworkPredictions)
        assert isinstance(predictions.network.decode, CentreGrouping)
        predictions.predict(open_root(rooms), _KEYS[0])
    kept = exchanged(checkpoint, {"voxel_net": {"keep_64": 0.5}}, tmp_path / "kept")
    assert json.loads((kept / "config.json").read_text())["voxel_net"]["channels_128"] == 8
    with pytest.raises(ConfigError, match="there is no decode 'centers'"):
        exchanged(checkpoint, {"decode": {"name": "centers"}}, tmp_path / "wrong")
    with pytest.raises(ConfigError, match="has no network to change"):
        _config(rooms, folder, entrants={"a": {"kind": "true-surface", "network": grouped}})


@pytest.mark.slow
def test_what_is_shipped_is_the_run_in_half_floats_with_its_price(tmp_path: Path) -> None:
    steps = 4
    run_folder, network = _run(tmp_path / "run", steps), build_clearview(_SMALL)
    checkpoint = run_folder / "checkpoints" / "latest"
    (checkpoint / "config.json").write_text(_SMALL.model_dump_json())
    save_file(network.state_dict(), checkpoint / "model.safetensors")
    shipped = tmp_path / "weights" / "small"
    ship(run_folder, shipped, ["voxel_net.seeds.min_score=0.125"])
    assert json.loads((shipped / "config.json").read_text())["voxel_net"]["seeds"]["min_score"] == 0.125
    path = shipped / "MODEL_CARD.md"
    written = path.read_text()
    assert "| run | 4 | 8 | 9 samples of `all`, sha256 000000000000 |" in written
    assert "--set voxel_net.seeds.min_score=0.125" in written
    assert "Not written yet" in written
    path.write_text(
        written.replace("Not written yet: say here", "Rendered rooms only. Do not say").replace("4 | 8", "5 | 9")
    )
    ship(run_folder, shipped, ["voxel_net.seeds.min_score=0.125"])
    again = path.read_text()
    assert "Rendered rooms only." in again  # a person's words stay
    assert again.replace("Rendered rooms only. Do not say", "Not written yet: say here") == written
    with pytest.raises(InputError, match=r"unknown key `voxel_net\.seeds\.score`"):
        ship(run_folder, shipped, ["voxel_net.seeds.score=1"])
    with pytest.raises(InputError, match=r"has no 'voxel_net\.sees"):
        ship(run_folder, shipped, ["voxel_net.sees.score=1"])
    ship(run_folder, shipped, ["decode.class_weight=0.5"])  # also what the run's config leaves out
    assert json.loads((shipped / "config.json").read_text())["decode"]["class_weight"] == 0.5
    with pytest.raises(BadFileError):
        ship(run_folder, tmp_path / "half", ["voxel_net.channels_128=16"])  # weights of another width
    assert not (tmp_path / "half").exists()
    assert (shipped / "model.safetensors").stat().st_size < 0.6 * (checkpoint / "model.safetensors").stat().st_size
    budget = budget_of(shipped)
    assert budget is not None
    assert budget["samples_seen"] == 2 * steps
    for name, tensor in load_network(shipped).state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-3, atol=1e-6)
