"""The oracle's cases through the command line: a folder of the released layout, a folder of predictions, one call."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panoptic3d.cli import main
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY
from tests.oracle.prq_cases import FRAME_FILES, edited_frame, read_expected

TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def results(prq_root: Path, front3d_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case is a scene of its own, because two cases may edit the same frame."""
    expected = read_expected(prq_root)
    folder = tmp_path_factory.mktemp("oracle")
    data, predictions = folder / "data", folder / "predictions"
    predictions.mkdir()
    for case in expected["cases"]:
        _lay_out(case, front3d_root, data / case["id"])
        (predictions / f"{case['id']}_{case['frame']}.npz").symlink_to(prq_root / case["file"])
    (data / "frustum_mask.npz").symlink_to(front3d_root / "frustum_mask.npz")
    split = folder / "all.txt"
    split.write_text("".join(f"{case['id']}/{case['frame']}\n" for case in expected["cases"]))
    words = ["evaluate", "--data", data, "--split", split, "--predictions", predictions, "--json", folder / "out.json"]
    protocols = [word for mode in expected["modes"] for word in ("--protocol", mode)]
    exit_code = main([str(word) for word in (*words, *protocols)])
    shutil.rmtree(data)  # gigabytes, which pytest would keep
    assert exit_code == 0
    return {result["protocol"]: result for result in json.loads((folder / "out.json").read_text())}


def _lay_out(case: dict[str, Any], front3d_root: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    frame = edited_frame(case, front3d_root) if case["gt_edits"] else None
    for name, pattern in FRAME_FILES.items():
        file = pattern.format(case["frame"])
        if frame is None:
            (folder / file).symlink_to(front3d_root / case["scene"] / file)
        else:
            np.savez(folder / file, data=getattr(frame, name))


def test_the_command_gives_what_the_references_give(
    mode: str, prq_root: Path, results: dict[str, dict[str, Any]]
) -> None:
    expected = read_expected(prq_root)
    result, of_mode = results[mode], expected["set_level"][mode]
    num_skipped = sum(case["expected"][mode].get("skipped", False) for case in expected["cases"])
    assert (result["num_samples"], result["num_failed"]) == (len(expected["cases"]), 0)
    assert result["num_skipped"] == num_skipped
    for key in ("prq", "rsq", "rrq"):
        assert result[key] == pytest.approx(of_mode["mean"][key], abs=TOLERANCE, rel=0)
    by_name = {FRONT3D_TAXONOMY[int(class_id)].name: values for class_id, values in of_mode["per_class"].items()}
    assert set(result["per_class"]) == set(by_name)
    for name, values in by_name.items():
        made = result["per_class"][name]
        assert made["in_mean"] == values["in_mean"]
        assert [made[key] for key in ("tp", "fp", "fn", "n")] == [values[key] for key in ("tp", "fp", "fn", "n")]
        for key in {"iou_sum", "prq", "rsq", "rrq"} & set(values):
            assert made[key] == pytest.approx(values[key], abs=TOLERANCE, rel=0)
