"""`--poses colmap`: what is done with what pycolmap finds. The real thing runs in `eval.fusion.walk`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.errors import InputError, MissingPartError
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.photos import Photo
from panoptic3d.predictor.poses import structure_from_motion
from panoptic3d.predictor.poses.structure_from_motion import photos_placed_by_colmap

_PHOTOS = [(f"{name}.jpg", Photo(torch.zeros(3, 48, 64, dtype=torch.uint8), (640, 480))) for name in "abc"]


class _Model:
    """A reconstruction that has placed the first photo and the last."""

    def write_text(self, folder: str) -> None:
        (Path(folder) / "cameras.txt").write_text("1 SIMPLE_PINHOLE 64 48 60 32 24\n")
        lines = ["1 1 0 0 0 0 0 0 1 0000.png", "", "2 1 0 0 0 -2 0 0 1 0002.png", ""]
        (Path(folder) / "images.txt").write_text("\n".join(lines))


def test_photos_get_their_names_back_and_those_left_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure_from_motion, "require", lambda *_: None)
    monkeypatch.setattr(structure_from_motion, "_largest_model", lambda *_, **__: _Model())
    found = photos_placed_by_colmap(_PHOTOS, GivenCamera())
    assert [pose.name for pose in found.photos] == ["a.jpg", "c.jpg"]
    assert np.allclose(found.photos[1].world_from_camera[:3, 3], (2, 0, 0))
    assert found.photos[0].camera is not None
    assert found.photos[0].camera.fx_px == 60
    (note,) = found.notes
    assert "1 of 3 photos" in note
    assert "b.jpg" in note


def test_what_cannot_be_placed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at least two photos"):
        photos_placed_by_colmap(_PHOTOS[:1], GivenCamera())
    monkeypatch.setattr(structure_from_motion, "require", lambda *_: None)
    monkeypatch.setattr(structure_from_motion, "_largest_model", lambda *_, **__: None)
    with pytest.raises(InputError, match="cannot place the 3 photos"):
        photos_placed_by_colmap(_PHOTOS, GivenCamera())


def test_without_pycolmap_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(MissingPartError, match="poses"):
        photos_placed_by_colmap(_PHOTOS, GivenCamera())


@pytest.mark.slow
def test_photos_without_texture_cannot_be_placed() -> None:
    pytest.importorskip("pycolmap")
    with pytest.raises(InputError, match="cannot place the 3 photos"):
        photos_placed_by_colmap(_PHOTOS, GivenCamera())
