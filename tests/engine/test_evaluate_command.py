"""The words of `panoptic3d evaluate`, and one tale on a released frame."""

import json
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.cli import main
from panoptic3d.data.front3d import Front3dFiles, read_front3d_truth
from panoptic3d.data.predictions import write_prediction
from panoptic3d.data.roots import open_root
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.scene import PanopticScene


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data", "x", "--split", "no/such", "--checkpoint", "z"], "there is no split 'no/such'"),
        (["--data", "x", "--split", "y"], "needs what to score: --checkpoint DIR, --predictions DIR"),
        (["--predictions", "x", "--split", "y"], "needs --data ROOT and --split FILE_OR_NAME"),
        (
            ["--data", "x", "--split", "y", "--predictions", "z", "--oracle", "depth"],
            "argument --oracle: invalid choice: 'depth'",
        ),
        (["--data", "x", "--split", "y", "--predictions", "z", "--workers", "0"], "0 is too little; give at least 1"),
        (["--data", "x", "--split", "y", "--predictions", "z", "--protocol", "mild"], "there is no protocol 'mild'"),
    ],
)
def test_a_wrong_call_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", *words]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.real
def test_the_truth_of_a_released_frame_scores_one(real_root: Path, tmp_path: Path) -> None:
    root = real_root / "front3d"
    key = next(path for path in sorted(root.glob("*/geometry_0004.npz")))
    scene = PanopticScene.from_truth(read_front3d_truth(Front3dFiles(root, key.parent.name, "0004")), FRONT3D_CAMERA)
    write_prediction(tmp_path / f"{key.parent.name}_0004.npz", scene)
    split = tmp_path / "one.txt"
    split.write_text(f"{key.parent.name}/0004\n")
    out = tmp_path / "out.json"
    words = ["--data", str(root), "--split", str(split), "--predictions", str(tmp_path), "--json", str(out)]
    assert main(["evaluate", *words]) == 0
    result = json.loads(out.read_text())
    assert (result["prq"], result["rsq"], result["rrq"]) == (1.0, 1.0, 1.0)


@pytest.mark.slow
def test_depth_is_handed_in_beside_the_photos_and_the_result_says_so(repository: Path, tmp_path: Path) -> None:
    rooms, split = repository / "data" / "rooms-sample", tmp_path / "one.txt"
    split.write_text("room-30000001/0000\n")
    depth_m = open_root(rooms).read("room-30000001/0000", has_voxels=False).depth_m
    (tmp_path / "depths").mkdir()
    np.save(tmp_path / "depths" / "room-30000001_0000.npy", 1000 * depth_m.numpy())
    words = ["evaluate", "--data", str(rooms), "--split", str(split), "--checkpoint", "tiny", "--json"]
    asked = {
        "photo": [],
        "truth": ["--depth", "truth"],
        "folder": ["--depth", str(tmp_path / "depths"), "--depth-unit", "0.001"],
    }
    found = {}
    for name, depth in asked.items():
        assert main([*words, str(tmp_path / f"{name}.json"), *depth]) == 0
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["photo"]["depth"] is None
    assert found["truth"]["depth"]["source"] == "truth"
    assert found["folder"]["depth"]["source"] == "depths"
    assert found["truth"]["prq"] == pytest.approx(found["folder"]["prq"], abs=1e-4)
    seen = {name: result["visibility"]["seen"]["f1"] for name, result in found.items()}
    assert seen["truth"] > seen["photo"] + 0.1
