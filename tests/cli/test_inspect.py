from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panoptic3d.cli.main import main


@pytest.mark.slow
def test_a_sample_becomes_a_picture(box_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "sheet.png"
    assert main(["data", "inspect", str(box_root), "--sample", "room-1/0001", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with Image.open(out) as image:
        sheet = np.asarray(image)
    with Image.open(box_root / "room-1" / "rgb_0001.png") as image:
        photo = np.asarray(image)
    top, left = 8 + 22, 8
    assert (sheet[top : top + 240, left : left + 320] == photo).all()
    cell_h, cell_w = 240 + 22 + 8, 320 + 8
    for row in range(3):
        for column in range(3):  # every panel shows something
            panel = sheet[top + row * cell_h :, left + column * cell_w :][:240, :320]
            assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 4


@pytest.mark.slow
def test_the_truth_becomes_a_scene(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny, out, scene = repository / "data" / "tiny", tmp_path / "sheet.png", tmp_path / "scene"
    words = ["data", "inspect", str(tiny), "--out", str(out), "--scene", str(scene)]
    assert main(words) == 0
    assert {path.name for path in scene.iterdir()} == {
        "index.html",
        "preview.png",
        "scene.glb",
        "scene.json",
        "scene.npz",
    }
    capsys.readouterr()
    assert main(words) == 2  # never replaced unasked
    assert str(scene) in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "sheet.jpg"], "give the name of a .png file"),
        (["--out", "nowhere/sheet.png"], "give the name of a .png file"),
        (["--out", "sheet.png", "--sample", "room-9/0001"], "has no sample 'room-9/0001'"),
    ],
)
def test_a_wrong_call_is_named(
    words: list[str], message: str, box_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "inspect", str(box_root), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
