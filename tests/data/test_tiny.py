"""The committed scene: sound, and made by the script beside it."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.data.roots import open_root


def test_the_committed_scene_is_sound(repository: Path) -> None:
    assert main(["data", "verify", str(repository / "data" / "tiny"), "--jobs", "1"]) == 0


@pytest.mark.slow
def test_the_script_makes_it_again(repository: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_tiny", repository / "data" / "make_tiny.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make_tiny(tmp_path / "tiny")
    made, committed = open_root(tmp_path / "tiny"), open_root(repository / "data" / "tiny")
    assert made.keys() == committed.keys()
    for key in made.keys():  # noqa: SIM118 - a method, not a mapping
        assert_alike(made.read(key), committed.read(key))


def assert_alike(actual: object, expected: object) -> None:
    """Equal but for one number of a thousand: another processor rounds another last digit, and a voxel between two classes
    takes the other one (docs/rooms-generate.md).
    """
    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, torch.Tensor)
        assert actual.shape == expected.shape
        assert int((actual != expected).sum()) <= 1e-3 * expected.numel()
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            assert_alike(getattr(actual, field.name), getattr(expected, field.name))
    elif isinstance(expected, Mapping):
        assert isinstance(actual, Mapping)
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            assert_alike(actual[key], value)
    else:
        assert actual == expected
