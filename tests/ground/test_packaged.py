"""Named configs are found from any folder, in a checkout and in a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from panoptic3d.config import read_yaml_tree
from panoptic3d.errors import ConfigError
from panoptic3d.packaged import configs_folder, find_config

REPOSITORY = Path(__file__).parents[2]


def test_a_name_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("clearview/tiny") == configs_folder() / "clearview" / "tiny.yaml"
    assert find_config("configs/clearview/tiny.yaml") == configs_folder() / "clearview" / "tiny.yaml"


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("clearview/tiny")
    own.parent.mkdir()
    own.write_text("method: clearview")
    assert find_config("clearview/tiny") == own


@pytest.mark.parametrize("name", ["clearview/huge", "../setup", "/etc/hostname.yaml", ""])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match="clearview/tiny, "):
        find_config(name)


def test_a_config_extends_a_packaged_one_unless_a_file_lies_beside_it(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("extends: clearview/debug\nfolder: runs/mine")
    tree = read_yaml_tree(own)
    assert (tree["method"], tree["folder"]) == ("clearview", "runs/mine")
    (tmp_path / "clearview").mkdir()
    (tmp_path / "clearview" / "debug").write_text("method: buol")
    assert read_yaml_tree(own) == {"method": "buol", "folder": "runs/mine"}
    own.write_text("extends: clearview/huge")
    with pytest.raises(ConfigError, match="neither a file beside it nor a packaged config"):
        read_yaml_tree(own)


@pytest.mark.slow
def test_the_wheel_carries_configs_weights_and_assets_and_nothing_else(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    source = tmp_path / "source"
    ignored = {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(source)], check=True)
    subprocess.run([*pip, str(source)], check=True, env={**os.environ, **ignored}, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "panoptic3d/configs/clearview/tiny.yaml",
        "panoptic3d/configs/rooms/rooms-v2.yaml",
        "panoptic3d/weights/tiny/model.safetensors",
        "panoptic3d/py.typed",
    ):
        assert wanted in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"panoptic3d"}
