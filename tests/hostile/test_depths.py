"""Depth files and cards of an attacker, or of bad luck, through the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.data.front3d_writer import exr_bytes
from tests.data.test_depth_files import BAD, DEPTH_M, npy
from tests.hostile.runner import Try, a_few, hold
from tests.predictor.hostile import picture
from tests.teachers.test_cards import write_card


def _depth(name: str, file: str, make: Callable[[], bytes], *words: str, said: str = "") -> Try:
    def prepare(folder: Path) -> tuple[str, ...]:
        picture(64, 48).save(folder / "photo.png")
        (folder / file).write_bytes(make())
        return ("predict", "photo.png", "--out", "out", "--device", "cpu", "--depth", file, *words)

    return Try(name, prepare, 2, said)


def _card(name: str, said: str, **changes: object) -> Try:
    def prepare(folder: Path) -> tuple[str, ...]:
        picture(64, 48).save(folder / "photo.png")
        write_card(folder, **changes)
        return ("predict", "photo.png", "--out", "out", "--device", "cpu", "--depth-model", "card.json")

    return Try(f"card: {name}", prepare, 2, said)


TRIES = [
    *(_depth(name, f"depth-{file}", make) for name, (file, make, _) in BAD.items()),
    _depth("wrong size", "d.exr", lambda: exr_bytes(DEPTH_M.T), said="another frame"),
    _depth("a strip", "d.exr", lambda: exr_bytes(DEPTH_M[:20]), said="another frame"),
    _depth("negative", "d.npy", lambda: npy(-DEPTH_M), said="negative"),
    _depth("millimetres in floats", "d.npy", lambda: npy(1000 * DEPTH_M), said="--depth-unit"),
    _depth("a unit too large", "d.exr", lambda: exr_bytes(DEPTH_M), "--depth-unit", "1000", said="--depth-unit"),
    _depth("beyond all lengths", "d.npy", lambda: npy(np.full((48, 64), 3e38, np.float32)), "--depth-unit", "100"),
    _depth("another lens", "d.exr", lambda: exr_bytes(DEPTH_M), "--depth-intrinsics", "9,9,32,24", said="register"),
    _depth("a photo", "d.jpg", lambda: b"\xff\xd8\xff" + bytes(99), said="none of the files"),
    _depth("a pickle", "d.npy", lambda: b"\x80\x04\x95" + bytes(99), said="none of the files"),
    _card("wrong hash", "another file", sha256="0" * 64),
    _card("missing file", "does not lie beside it", file="gone.onnx"),
    _card("a path", "beside its card", file="/etc/passwd"),
    _card("wrong kind", "kind", kind="magic"),
    _card("wrong unit", "unit_m", unit_m=0),
    _card("wrong shape", "fits its card|onnxruntime", input={"width": 64, "height": 64}),
]


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("one", a_few(TRIES, 6), ids=str)
def test_a_wrong_depth(one: Try, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(one, tmp_path, capfd, monkeypatch)
    assert not (tmp_path / "out").exists()
