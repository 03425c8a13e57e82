"""Somebody adds a method: a package outside of the project trains, resumes, predicts and is scored; ours stays as it is."""

import json
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from PIL import Image

from panoptic3d.cli import main
from panoptic3d.data.dataset import open_dataset
from panoptic3d.errors import ConfigError
from panoptic3d.models import methods
from panoptic3d.models.checkpoints.load import network_config_of
from panoptic3d.models.methods import method_card
from tests.strangers.examples import write_examples

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    write_examples(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(REPOSITORY)
    return folder


@pytest.mark.slow
def test_what_a_stranger_trains_also_resumes_predicts_and_is_scored(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    train = ["train", str(package / "run.yaml"), "--folder", str(tmp_path / "run")]
    assert main(train) == 0
    assert main([*train, "--stages", "[{name: all, steps: 3}]", "--resume", "auto"]) == 0
    checkpoint = str(tmp_path / "run" / "checkpoints" / "latest")
    photo = open_dataset(REPOSITORY / "data" / "tiny")[0].image.permute(1, 2, 0).numpy()
    Image.fromarray(photo).save(tmp_path / "photo.png")
    predict = ["predict", str(tmp_path / "photo.png"), "--checkpoint", checkpoint, "--out", str(tmp_path / "out")]
    (tmp_path / "split.txt").write_text("box-room-1/0001\n")
    evaluate = ["evaluate", "--checkpoint", checkpoint, "--data", "data/tiny", "--split", str(tmp_path / "split.txt")]
    evaluate += ["--workers", "1", "--json", str(tmp_path / "result.json")]
    capsys.readouterr()
    for words in (predict, evaluate):
        assert main(words) == 2
        assert "--trust house_of_rooms" in capsys.readouterr().err
        assert main([*words, "--trust", "house_of_rooms"]) == 0
    assert list((tmp_path / "out").rglob("scene.npz"))
    assert json.loads((tmp_path / "result.json").read_text())


def test_a_strangers_checkpoint_imports_nothing_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise AssertionError('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for tree in (
        {"method": "trap:NET"},
        {"method": "panorecon", "trunk": {"name": "trap:Trunk"}},
        {"method": "clearview", "decode": {"name": "trap:Decode"}},
    ):
        (tmp_path / "config.json").write_text(json.dumps(tree))
        with pytest.raises(ConfigError, match=r"nothing was imported; .* --trust trap"):
            network_config_of(tmp_path)
        with pytest.raises(ConfigError, match="--trust trap"):
            network_config_of(tmp_path, trust=("trapper", "tra", "panoptic3d"))


def test_a_method_by_the_name_that_an_installed_package_gave_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = EntryPoints([EntryPoint("rooms", "house_of_rooms.net:ROOM", "panoptic3d.methods")])
    monkeypatch.setattr(methods, "entry_points", known.select)
    with pytest.raises(ConfigError, match="--trust house_of_rooms"):
        method_card("rooms", ())
    assert method_card("rooms", ("house_of_rooms",)).training.__name__ == "RoomMethod"
    with pytest.raises(ConfigError, match="there is no method 'room'"):
        method_card("room", ())
