"""A card and its network: what is run, and what is refused before the first photo."""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.config import parse_yaml
from panoptic3d.errors import InputError, MissingPartError
from panoptic3d.teachers.card import CardInput, read_card
from panoptic3d.teachers.function_depth import trusted_function
from panoptic3d.teachers.onnx_depth import network_input, open_teacher
from tests.predictor.hostile import picture

# y = mean of x over its channels: 1x3x32x32 -> 1x1x32x32, opset 13
MEAN = base64.b64decode(
    "CAgSADpyCjAKAXgSAXkiClJlZHVjZU1lYW4qCwoEYXhlc0ABoAEHKg8KCGtlZXBkaW1zGAGgAQISBG1lYW5aGwoBeBIWChQIARIQCgIIAQoCCAMKAggg"
    "CgIIIGIbCgF5EhYKFAgBEhAKAggBCgIIAQoCCCAKAgggQgQKABAN"
)


def write_card(folder: Path, **changes: Any) -> Path:
    """Beside its network."""
    (folder / "mean.onnx").write_bytes(MEAN)
    tree = {
        "name": "mean of the channels",
        "file": "mean.onnx",
        "sha256": hashlib.sha256(MEAN).hexdigest(),
        "licence": "Apache-2.0",
        "trained_on": "nothing",
        "kind": "affine",
        "input": {"width": 32, "height": 32},
    }
    (folder / "card.json").write_text(json.dumps({**tree, **changes}))
    return folder / "card.json"


def test_a_picture_becomes_what_the_card_says() -> None:
    image = torch.zeros(3, 48, 64, dtype=torch.uint8)
    image[0], image[1] = 255, 51
    rgb = network_input(image, CardInput(width=32, height=16, mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 1.0)))
    assert rgb.shape == (1, 3, 16, 32)
    np.testing.assert_allclose(rgb[0, :, 3, 4], [1.0, 0.2, 0.0], atol=1e-6)
    bgr = network_input(image, CardInput(width=32, height=16, channels="bgr", layout="nhwc", scale=1.0))
    assert bgr.shape == (1, 16, 32, 3)
    np.testing.assert_allclose(bgr[0, 3, 4], [0.0, 51.0, 255.0], atol=1e-4)


def test_a_network_runs_by_its_card(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install 'panoptic3d[teachers]'")
    teacher = open_teacher(write_card(tmp_path, kind="metric", unit_m=2.0))
    image = torch.full((3, 48, 64), 51, dtype=torch.uint8)
    said = teacher(image)
    assert said.shape == (32, 32)
    np.testing.assert_allclose(said, 2.0 * 0.2, rtol=1e-6)
    assert teacher.facts()["licence"] == "Apache-2.0"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "wrong hash": ({"sha256": "0" * 64}, "another file"),
    "no hash": ({"sha256": "abc"}, "sha256"),
    "missing file": (
        {"file": "nothing.onnx", "source": "somewhere"},
        "does not lie beside it; it is to be had at somewhere",
    ),
    "a file elsewhere": ({"file": "../mean.onnx"}, "beside its card"),
    "wrong shape": ({"input": {"width": 64, "height": 32}}, "fits its card"),
    "wrong kind": ({"kind": "guess"}, "kind"),
    "wrong unit": ({"unit_m": -1}, "unit_m"),
    "wrong output": ({"output": "z"}, "fits its card"),
    "wrong input": ({"input": {"width": 32, "height": 32, "name": "z"}}, "fits its card"),
    "unknown key": ({"pickle": "a.pkl"}, "unknown key `pickle`"),
    "no licence": ({"licence": ""}, "licence"),
    "no network": ({"file": "card.json", "sha256": "0" * 64}, "another file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_card_is_one_sentence(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install 'panoptic3d[teachers]'")
    changes, said = BAD[name]
    with pytest.raises(InputError, match=said) as caught:
        open_teacher(write_card(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"name": 3}', "\x00" * 9])
def test_what_is_no_card_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(InputError):
        read_card(tmp_path / "card.json")


def test_a_network_with_broken_bytes_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install 'panoptic3d[teachers]'")
    for number, data in enumerate((b"", b"\x80\x04.", MEAN[:60], MEAN[:20] + b"\xff" * 20 + MEAN[40:])):
        path = write_card(tmp_path, sha256=hashlib.sha256(data).hexdigest(), file=f"{number}.onnx")
        (tmp_path / f"{number}.onnx").write_bytes(data)
        with pytest.raises(InputError):
            open_teacher(path)


def test_without_onnxruntime_one_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPartError, match=r"panoptic3d\[teachers\]"):
        open_teacher(write_card(tmp_path))


def test_a_card_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(80, 60).save("a.png")
    card = str(write_card(tmp_path, sha256="1" * 64))
    assert main(["predict", "a.png", "--out", "out", "--device", "cpu", "--depth-model", card]) == 2
    assert "another file" in capsys.readouterr().err
    assert main(["predict", "a.png", "--out", "out", "--depth-model", card, "--depth", "a.png"]) == 2
    assert not Path("out").exists()


def near_below(picture_rgb: np.ndarray) -> np.ndarray:
    """A depth model of somebody's."""
    height, width, _ = picture_rgb.shape
    return np.broadcast_to(np.linspace(4.0, 1.0, height)[:, None], (height, width))


def test_a_function_runs_where_its_package_is_trusted() -> None:
    name = f"{__name__}:near_below"
    with pytest.raises(InputError, match="--trust"):
        trusted_function(name, (), "metric", "axis")
    said = trusted_function(name, (__name__.split(".")[0],), "affine", "axis")
    depth = said(torch.zeros(3, 48, 64, dtype=torch.uint8))
    assert depth.shape == (48, 64)
    assert said.facts() == {"source": name, "kind": "affine", "along": "axis"}
    for wrong in ("no.such:thing", f"{__name__}:nothing", f"{__name__}:MEAN"):
        with pytest.raises(InputError):
            trusted_function(wrong, ("*",), "metric", "axis")


def test_cards_of_the_docs_are_cards(repository: Path) -> None:
    text = (repository / "docs" / "depth.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```json\n")[1:]]
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        assert parse_yaml(block, "a card")["licence"], number
