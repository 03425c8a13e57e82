"""Every ablation takes out what it says and nothing else, at an equal and smaller budget."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from eval.race.ablations import (
    CONFIGS,
    behind,
    can_share_maps,
    carry_out,
    idea_of,
    known_ablations,
    parse,
    scaled,
    write_maps,
)
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.errors import InputError

# name -> what differs from tiny.yaml, by the path of the key
_TAKEN_OUT = {
    "embeddings-only": {"settings.network.voxel_net.seeds.votes"},
    "narrow": {f"settings.network.voxel_net.channels_{n}" for n in (64, 128, 256)},
    "no-augmentation": {"loader.augment"},
    "no-imagenet": {"settings.imagenet", "optimizer.rate_of_part"},
    "no-layout": {"settings.network.rays.has_layout"},
    "no-maps-stage": {"stages"},
    "no-planes": {"settings.network.rays.has_planes"},
    "no-shell-term": {"settings.weights.shell"},
    "no-true-depth": {"settings.true_depth"},
    "surface-only": {"settings.network.lift.reach_m"},
    "votes-only": {"settings.network.voxel_net.seeds.votes"},
}


def _differing(one: object, other: object, path: str = "") -> set[str]:
    if (
        isinstance(one, dict)
        and isinstance(other, dict)
        and one.keys() == other.keys()
        and path != "optimizer.rate_of_part"
    ):
        names = ((f"{path}.{key}".removeprefix("."), key) for key in one)
        return {found for name, key in names for found in _differing(one[key], other[key], name)}
    return set() if one == other else {path}


def _load(path: Path) -> TrainingConfig:
    return load_training_config(path)


def test_an_ablation_takes_out_one_idea() -> None:
    whole = _load(CONFIGS / "tiny.yaml").model_dump()
    found = {name: _differing(whole, _load(path).model_dump()) - {"folder"} for name, path in known_ablations().items()}
    assert found == _TAKEN_OUT
    assert len({idea_of(path) for path in known_ablations().values()}) == len(_TAKEN_OUT)


def test_ablations_see_as_many_samples() -> None:
    whole = _load(CONFIGS / "tiny.yaml")
    for path in known_ablations().values():
        for scale in (1.0, 0.1):
            if path.stem != "no-maps-stage":
                assert scaled(_load(path), scale).num_steps == scaled(whole, scale).num_steps


def test_what_has_no_stage_for_the_maps_gets_its_cpu_time() -> None:
    maps, joint = (stage.steps for stage in _load(CONFIGS / "tiny.yaml").stages)
    alone = _load(known_ablations()["no-maps-stage"]).num_steps
    assert joint + maps / 7 < alone < joint + maps / 4.5  # a step with voxels costs as much as 5.8 without


def test_a_scaled_run_keeps_its_shape() -> None:
    whole = _load(CONFIGS / "tiny.yaml")
    small = scaled(whole, 0.01)
    assert [stage.steps for stage in small.stages] == [round(stage.steps / 100) for stage in whole.stages]
    assert small.schedule.warmup_steps == round(whole.schedule.warmup_steps / 100)
    assert isinstance(small.settings, ClearviewTrainingConfig)
    assert isinstance(whole.settings, ClearviewTrainingConfig)
    assert small.settings.true_depth_steps == whole.settings.true_depth_steps // 100
    assert scaled(whole, 1.0) == whole
    assert min(stage.steps for stage in scaled(whole, 1e-9).stages) == 1


@pytest.mark.slow
def test_maps_are_shared_by_ideas_that_can_be_taken_out_behind_them(tmp_path: Path) -> None:
    alone = {name for name, path in known_ablations().items() if not can_share_maps(path)}
    assert alone == {"no-imagenet", "no-maps-stage"}
    rest = behind("runs/maps", _load(CONFIGS / "tiny.yaml"))
    assert [stage.name for stage in rest.stages] == ["joint"]
    words = ["--data", "x", "--test", "y", "--out", str(tmp_path), "--maps", "runs/maps", "--only", "no-imagenet"]
    with pytest.raises(InputError, match="no-imagenet cannot start from these maps"):
        carry_out(parse(words))
    for wrong in ("no-imagenet", "nonsense=run"):
        with pytest.raises(InputError, match="NAME=RUN beside --maps"):
            carry_out(parse([*words, "--own-maps", wrong]))
    with pytest.raises(InputError, match="no-maps-stage cannot start"):
        carry_out(parse([*words[:-1], "no-maps-stage", "--own-maps", "no-maps-stage=runs/maps"]))


@pytest.mark.slow
def test_ablations_train_go_on_and_end_in_a_table(repository: Path, tmp_path: Path) -> None:
    rooms = repository / "data" / "rooms-sample"
    narrow = ["settings.network.fit={width: 80, height: 60}", "settings.imagenet=false", "device=cpu"]
    words = ["--data", str(rooms), "--split", "test", "--test", str(rooms), "--num", "2", "--out", str(tmp_path)]
    words += ["--scale", "0.0001", "--threads", "1", "--set", *narrow]
    asked = parse([*words, "--only", "votes-only", "--again", "7"])
    result = carry_out(asked)
    assert set(result["race"]["entrants"]) == {"all-ideas", "all-ideas-again", "votes-only"}
    assert "chance" in result["ideas"]["all-ideas-again"]
    seeds = {name: entry["budget"]["runs"][-1]["seed"] for name, entry in result["race"]["entrants"].items()}
    assert seeds == {"all-ideas": 0, "all-ideas-again": 7, "votes-only": 0}
    assert result["race"]["entrants"]["votes-only"]["budget"]["samples_seen"] == 4
    logs = [path.read_bytes() for path in sorted(tmp_path.glob("runs/*/train.log"))]
    assert json.loads((tmp_path / "ablations.json").read_text()) == json.loads(json.dumps(carry_out(asked)))
    assert [path.read_bytes() for path in sorted(tmp_path.glob("runs/*/train.log"))] == logs
    with pytest.raises(InputError, match="other options"):
        carry_out(parse([*words, "--only", "votes-only", "--seed", "1"]))
    with pytest.raises(InputError, match="no ablation 'nonsense'"):
        carry_out(parse([*words, "--only", "nonsense"]))


@pytest.mark.slow
def test_ablations_start_from_a_run_of_the_maps(repository: Path, tmp_path: Path) -> None:
    rooms = repository / "data" / "rooms-sample"
    small = ["settings.network.fit={width: 80, height: 60}", "settings.imagenet=false", "device=cpu"]
    words = ["--data", str(rooms), "--split", "test", "--test", str(rooms), "--num", "2", "--threads", "1"]
    words += ["--scale", "0.0001", "--set", *small]
    carry_out(parse([*words, "--out", str(tmp_path / "first"), "--only", "no-imagenet"]))
    maps, other = (str(tmp_path / "first" / "runs" / name) for name in ("all-ideas", "no-imagenet"))
    words += ["--out", str(tmp_path / "then"), "--maps", maps, "--own-maps", f"no-imagenet={other}"]
    entrants = carry_out(parse([*words, "--only", "narrow", "no-planes", "no-imagenet"]))["race"]["entrants"]
    assert set(entrants) == {"all-ideas", "narrow", "no-planes", "no-imagenet"}
    for name, entry in entrants.items():
        assert entry["budget"]["samples_seen"] == 4 + 2, name  # a step of each stage, then one of the last
        assert [part["run"] for part in entry["budget"]["runs"]][-1] == name
    for name, run in (("no-planes", maps), ("no-imagenet", other)):
        learnt = load_file(Path(run) / "checkpoints" / "latest" / "model.safetensors")
        left = ("voxel_net.", "rays.planes.") if name == "no-planes" else ("voxel_net.",)
        taken = load_file(tmp_path / "then" / "maps" / name / "model.safetensors")
        assert taken.keys() == {key for key in learnt if not key.startswith(left)}
        for key, tensor in taken.items():
            torch.testing.assert_close(tensor, learnt[key], rtol=0, atol=0)
    words[words.index("--maps") + 1] = other
    with pytest.raises(InputError, match="was taken from another run"):
        carry_out(parse([*words, "--only", "narrow"]))


def test_maps_have_to_be_whole(tmp_path: Path) -> None:
    config = _load(CONFIGS / "tiny.yaml")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "origin.json").write_text("{}")
    with pytest.raises(InputError, match="has no records"):
        write_maps(tmp_path, config, tmp_path / "maps")
    (tmp_path / "origin.json").write_text(json.dumps({"budget": {"samples_seen": 2, "runs": []}}))
    save_file({"trunk.foreign": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"lacks \d+ weights"):
        write_maps(tmp_path, config, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()
