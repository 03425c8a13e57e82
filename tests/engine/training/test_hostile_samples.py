"""PanoRecon on a data set in which something is wrong with nearly every sample: it goes on, counts and names."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.config import load_config
from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.engine.methods.table import training_config_of
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.rooms.analytic.boxes import random_room, render
from panoptic3d.structures.sample import Sample
from panoptic3d.tracking.json_lines import read_json_lines

pytestmark = pytest.mark.slow


def _forty_things(sample: Sample) -> Sample:
    assert sample.truth is not None
    truth = sample.truth
    numbered = 150 + torch.arange(len(truth.instance), dtype=torch.int32) % 40
    in_picture = (
        150 + torch.arange(sample.instance_2d.numel(), dtype=torch.int32).view_as(sample.instance_2d) // 60 % 40
    )
    return replace(
        sample,
        truth=replace(truth, instance=torch.where(truth.instance > 0, numbered, 0)),
        instance_2d=torch.where(sample.instance_2d >= 150, in_picture, sample.instance_2d),
    )


def _nothing_in_sight(sample: Sample) -> Sample:
    assert sample.truth is not None
    truth = sample.truth
    none = slice(0, 0)
    empty = replace(
        truth,
        linear_index=truth.linear_index[none],
        distance_vox=truth.distance_vox[none],
        semantic=truth.semantic[none],
        instance=truth.instance[none],
        coarse_occupancy={s: torch.zeros_like(o) for s, o in truth.coarse_occupancy.items()},
    )
    void = {name: torch.zeros_like(getattr(sample, name)) for name in ("depth_m", "semantic_2d", "instance_2d")}
    return replace(sample, truth=empty, **void)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    root = tmp_path / "hostile"
    makers: dict[str, Callable[[Sample], Sample]] = {
        "fine": lambda sample: sample,
        "truncated": lambda sample: sample,
        "nan": lambda sample: sample,
        "no-things": lambda sample: sample,
        "forty-things": _forty_things,
        "nothing-in-sight": _nothing_in_sight,
    }
    for seed, (name, make) in enumerate(makers.items()):
        frame = render(random_room(seed, 0 if name == "no-things" else 3))
        write_front3d_sample(root, make(sample_from_frame(frame, name, "0001")))
    write_frustum_mask(root, frame.frustum_mask)
    cut = root / "truncated" / "geometry_0001.npz"
    cut.write_bytes(cut.read_bytes()[:-400])
    spoilt = root / "nan" / "geometry_0001.npz"
    with np.load(spoilt) as file:
        arrays = {key: file[key].copy() for key in file.files}
    key = next(key for key, array in arrays.items() if array.ndim == 3 and array.dtype.kind == "f")
    arrays[key][128, 128, 128] = np.nan
    np.savez_compressed(spoilt, **arrays)
    return root


def test_panorecon_trains_on_what_is_left_and_names_the_rest(hostile: Path, tmp_path: Path, repository: Path) -> None:
    words = ["--data.root", str(hostile), "--folder", str(tmp_path / "run")]
    words += ["--stages", "[{name: joint, steps: 6}]", "--settings.supply.instances", "truth", "--device", "cpu"]
    words += ["--settings.curriculum", "{begins_at: 0, steps_64: 6, steps_128: 1}"]
    words += ["--settings.supply.min_pixels", "20"]
    config: TrainingConfig = load_config(
        training_config_of("panorecon"), repository / "configs" / "panorecon" / "debug.yaml", words
    )
    assert train(config, Resume()) == 0
    end = json.loads((tmp_path / "run" / "run.json").read_text())["end"]
    assert set(end["faults"]["bad_samples"]) == {"truncated/0001", "nan/0001"}
    assert end["faults"]["non_finite_steps"] == []
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count(" cannot be read and is replaced by ") == end["faults"]["num_replacements"] >= 2
    assert "bad sample truncated/0001, replaced" in log
    assert "bad sample nan/0001, replaced" in log
    records = [r for r in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "train/loss" in r]
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(r["train/loss"]) for r in records)
