"""The committed scene: sound, and made by the script beside it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from panoptic3d.cli.main import main
from panoptic3d.data.roots import open_root


def test_the_committed_scene_is_sound(repository: Path) -> None:
    assert main(["data", "verify", str(repository / "data" / "tiny"), "--jobs", "1"]) == 0


@pytest.mark.slow
def test_the_script_makes_it_again(repository: Path, tmp_path: Path, assert_equal_samples: Callable) -> None:
    spec = importlib.util.spec_from_file_location("make_tiny", repository / "data" / "make_tiny.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make_tiny(tmp_path / "tiny")
    made, committed = open_root(tmp_path / "tiny"), open_root(repository / "data" / "tiny")
    assert made.keys() == committed.keys()
    for key in made.keys():  # noqa: SIM118 - a method, not a mapping
        assert_equal_samples(made.read(key), committed.read(key))
