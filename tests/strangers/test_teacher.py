"""Somebody adds a teacher: a function that says the depth of a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.errors import ConfigError
from panoptic3d.teachers.function_depth import trusted_function
from tests.strangers.examples import write_examples

NAME = "house_of_rooms.depth:lower_is_nearer"


def test_a_function_teaches_where_its_package_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_examples(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ConfigError, match="allow it with --trust house_of_rooms"):
        trusted_function(NAME, (), "affine", "axis")
    teacher = trusted_function(NAME, ("house_of_rooms",), "affine", "axis")
    depth = teacher(torch.zeros(3, 9, 12, dtype=torch.uint8))
    np.testing.assert_allclose(depth[[0, 4, 8], 5], [5, 3, 1])
    assert teacher.facts() == {"source": NAME, "kind": "affine", "along": "axis"}
