"""Every file ends in the right picture or in one sentence."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from panoptic3d.cli.main import main
from panoptic3d.errors import InputError, MissingPartError
from panoptic3d.predictor.photos import load_photo, photo_from_array
from tests.predictor.hostile import BAD, FLAT, GOOD, GREY, exif, picture


def _corners(image: torch.Tensor) -> list[list[int]]:
    height, width = image.shape[1:]
    return [image[:, y, x].tolist() for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


@pytest.mark.parametrize("name", GOOD)
def test_good_files_show_the_picture(name: str, tmp_path: Path) -> None:
    photo = load_photo(GOOD[name](tmp_path))
    assert photo.image.shape == (3, 60, 80)
    wanted = [[220, 20, 20], [20, 200, 20], [20, 20, 220], [255, 255, 255]]
    np.testing.assert_allclose(_corners(photo.image), wanted, atol=60 if name == "cmyk" else 12)


@pytest.mark.parametrize("name", GREY)
def test_grey_files_are_grey_and_as_bright(name: str, tmp_path: Path) -> None:
    photo = load_photo(GREY[name](tmp_path))
    wanted = [
        [v, v, v] for v in _corners(torch.from_numpy(np.array(picture().convert("L"))).expand(1, -1, -1)) for v in v
    ]
    np.testing.assert_allclose(_corners(photo.image), wanted, atol=1)


@pytest.mark.parametrize("name", FLAT)
def test_other_files_open_too(name: str, tmp_path: Path) -> None:
    photo = load_photo(FLAT[name](tmp_path))
    assert photo.image[:, 5, 5].tolist() == ([255, 255, 255] if name == "black and white" else [255, 0, 0])
    assert max(photo.image.shape) <= 1280
    assert any("first of" in note for note in photo.notes) == name.startswith("animated")


@pytest.mark.parametrize("name", BAD)
def test_bad_files_end_in_one_sentence_and_exit_code_2(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make, words = BAD[name]
    path = make(tmp_path)
    with pytest.raises(InputError, match=words):
        load_photo(path)
    assert main(["predict", str(path), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert "unexpected" not in captured.err
    assert not (tmp_path / "out").exists()


def test_the_lists_hold_sixty_inputs() -> None:
    assert len(GOOD) + len(GREY) + len(FLAT) + len(BAD) + 8 >= 60  # and eight rotations


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int, tmp_path: Path) -> None:
    """A camera that notes orientation n stored the inverse of what n asks for."""
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = picture() if undo is None else picture().transpose(Image.Transpose(undo))
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif(orientation))
    with Image.open(path) as opened:
        assert ImageOps.exif_transpose(opened).size == (80, 60)
    assert torch.equal(load_photo(path).image, photo_from_array(picture()).image)
    assert load_photo(path).full_size == (80, 60)


def test_heic_opens_where_its_reader_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    heif.register_heif_opener()
    picture().save(tmp_path / "a.heic", quality=90)
    np.testing.assert_allclose(_corners(load_photo(tmp_path / "a.heic").image)[0], [220, 20, 20], atol=20)


def test_heic_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingPartError, match=r"is HEIC: reading it needs pillow_heif.*panoptic3d\[heic\]"):
        load_photo(BAD["heic"][0](tmp_path))


def test_no_permission_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    picture().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        load_photo(tmp_path / "a.png")


def test_what_is_transparent_shows_white_paper(tmp_path: Path) -> None:
    image = picture().convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert (load_photo(tmp_path / "a.png").image == 255).all()


def test_pictures_in_memory() -> None:
    array = np.asarray(picture())
    assert torch.equal(photo_from_array(array).image, photo_from_array(picture()).image)
    with pytest.raises(InputError, match="from 0 to 1, this one"):
        photo_from_array(array / 1.0)
    with pytest.raises(InputError, match="at least 32"):
        photo_from_array(array[:4])


@pytest.mark.parametrize(
    "words", [["--intrinsics", "1,2,3"], ["--intrinsics", "a,b,c,d"], ["--fov-deg", "0"], ["--fov-deg", "nan"]]
)
def test_a_wrong_camera_is_one_sentence(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    picture().save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_version_without_weights_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("panoptic3d.models.checkpoints.find.weights_folder", lambda: tmp_path / "weights")
    picture().save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "--out", str(tmp_path / "o")]) == 2
    assert "no checkpoint is shipped" in capsys.readouterr().err
