"""Somebody adds a data set: a layout in a package outside of the project is verified, trained on and scored against."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.cli import main
from panoptic3d.data.dataset import open_dataset
from panoptic3d.data.predictions import write_prediction
from panoptic3d.data.roots import open_root
from panoptic3d.engine.evaluation.run import EvaluationOrder, carry_out
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, SemanticClass, Taxonomy
from tests.data.conftest import CAMERA, GRID, make_sample
from tests.strangers.examples import write_examples


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_examples(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = tmp_path / "scans"
    (folder / "room").mkdir(parents=True)
    for seed in range(2):
        sample = make_sample(seed)
        truth = sample.truth
        assert truth is not None
        np.savez(
            folder / "room" / f"{seed:04d}.npz",
            image=sample.image.numpy(),
            depth_m=sample.depth_m.numpy(),
            semantic_2d=sample.semantic_2d.numpy(),
            instance_2d=sample.instance_2d.numpy(),
            intrinsics=np.array([CAMERA.fx_px, CAMERA.fy_px, CAMERA.cx_px, CAMERA.cy_px]),
            grid=np.array([GRID.voxel_size_m, *GRID.camera_index]),
            distance_vox=truth.dense_distance_vox().numpy(),
            semantic=truth.dense_semantic().numpy(),
            instance=truth.dense_instance().numpy(),
            weight=np.ones(GRID.shape, np.uint8),
            frustum_mask=truth.frustum_mask.numpy(),
        )
    return f"house_of_rooms.scans:SCANS@{folder}"


def test_samples_are_those_that_were_written(scans: str) -> None:
    dataset, wanted = open_dataset(scans), make_sample(1)
    assert list(dataset.split.keys) == ["room/0000", "room/0001"]
    sample = dataset[1]
    assert sample.truth is not None
    assert wanted.truth is not None
    assert (sample.depth_m == wanted.depth_m).all()
    assert (sample.truth.dense_semantic() == wanted.truth.dense_semantic()).all()


def test_verify_names_the_file_that_is_broken(scans: str, capsys: pytest.CaptureFixture) -> None:
    path = Path(scans.partition("@")[2]) / "room" / "0001.npz"
    path.write_bytes(path.read_bytes()[:500])
    assert main(["data", "verify", scans]) == 1
    out = capsys.readouterr().out
    assert "room/0001.npz: corrupt" in out
    assert "room/0000.npz: corrupt" not in out  # drawn pixels do not lie on drawn volumes, which it says


def test_a_method_is_scored_against_it(scans: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the classes of the layout."""
    classes = tuple(replace(c, name=f"{c.name} of ours") for c in FRONT3D_TAXONOMY.classes)
    monkeypatch.setattr(open_root(scans).kind, "taxonomy", Taxonomy("house", classes), raising=False)
    for seed in range(2):
        truth = make_sample(seed).truth
        assert truth is not None
        scene = PanopticScene(
            truth.dense_distance_vox().abs().clamp(max=3), truth.dense_semantic(), truth.dense_instance(), CAMERA, GRID
        )
        write_prediction(tmp_path / f"room_{seed:04d}.npz", scene)
    (tmp_path / "split.txt").write_text("room/0000\nroom/0001\n")
    order = EvaluationOrder(
        data=scans,
        split=str(tmp_path / "split.txt"),
        predictions=str(tmp_path),
        rescore=None,
        protocols=("strict",),
        json=str(tmp_path / "out.json"),
    )
    assert carry_out(order) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["prq"] > 0.9
    assert {name for name in result["per_class"] if not name.endswith(" of ours")} == set()
    assert all(name.endswith(" of ours") for name in result["voxels"]["per_class"])
    again = replace(
        order, predictions=None, rescore=str(tmp_path / "out.records.jsonl"), json=str(tmp_path / "again.json")
    )
    assert carry_out(again) == 0
    rescored = json.loads((tmp_path / "again.json").read_text())
    assert (rescored["per_class"], rescored["voxels"]) == (result["per_class"], result["voxels"])
    many = Taxonomy("house", (*classes, SemanticClass(13, "door", "thing", (0, 0, 0))))
    monkeypatch.setattr(open_root(scans).kind, "taxonomy", many)
    with pytest.raises(InputError, match="has 14 classes, void included, and scores count 13 at most"):
        carry_out(order)


def test_what_is_no_layout_is_refused(scans: str) -> None:
    with pytest.raises(ConfigError, match="is no object with the parts"):
        open_root(scans.replace("SCANS", "Scans"))
    with pytest.raises(ConfigError, match="there is no layout 'kinect'"):
        open_root(scans.partition("@")[2], layout="kinect")
