"""Poses of an attacker, or of bad luck, and scenes that strangers have made, through `panoptic3d fuse`."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.data.predictions import write_prediction
from panoptic3d.export.facts import scene_facts
from tests.export.tiny import make_tiny_scene
from tests.hostile.runner import Try, a_few, hold
from tests.predictor.hostile import picture

_EYE = np.eye(4).tolist()
_LINE = "0 0 0 0 0 0 1"
_DEEP = "[" * 100_000
_LENS = {"w": 80, "h": 60, "fl_x": 60.0}
_CAMERAS = "1 PINHOLE 80 60 60 60 40 30\n"
_IMAGES = "1 1 0 0 0 0 0 0 1 a.png\n\n2 1 0 0 0 0.1 0 0 1 b.png\n\n"


def _photos(folder: Path) -> None:
    (folder / "in").mkdir()
    for name in ("a", "b"):
        picture().save(folder / "in" / f"{name}.png")
    (folder / "notes.txt").write_text("mine")


def _scenes(folder: Path) -> None:
    """What fusion reads of them."""
    for name in ("a", "b"):
        place = folder / "in" / name
        place.mkdir(parents=True)
        write_prediction(place / "scene.npz", make_tiny_scene())
        (place / "scene.json").write_text(json.dumps(scene_facts(make_tiny_scene(), [], (0.0, -1.0, 0.0))))
    (folder / "p.txt").write_text(f"a {_LINE}\nb {_LINE}\n")


def _fuse(
    name: str,
    make: Callable[[Path], object],
    *words: str,
    poses: str = "p.txt",
    code: int = 2,
    said: str = "",
    begin: Callable[[Path], None] = _photos,
) -> Try:
    def prepare(folder: Path) -> tuple[str, ...]:
        begin(folder)
        make(folder)
        return ("fuse", "in", "--poses", poses, "--out", "out", "--device", "cpu", *words)

    return Try(name, prepare, code, said or "", writes=("out",) if code == 0 else ())


def _file(name: str, data: bytes | str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def _table(name: str, text: bytes | str, said: str = "p.txt") -> Try:
    return _fuse(f"table: {name}", _file("p.txt", text), said=said)


def _json(name: str, tree: object, said: str = "t.json", code: int = 2) -> Try:
    text = tree if isinstance(tree, str | bytes) else json.dumps(tree)
    return _fuse(f"json: {name}", _file("t.json", text), poses="t.json", said=said, code=code)


def _frames(pose: object = _EYE, name: object = "a.png", **facts: object) -> dict:
    frame = {"file_path": name, "transform_matrix": pose}
    return {**facts, "frames": [frame, {"file_path": "b.png", "transform_matrix": _EYE}]}


def _colmap(name: str, said: str = "", code: int = 2, **files: bytes | str) -> Try:
    def make(folder: Path) -> None:
        (folder / "c").mkdir()
        for stem, text in {"cameras": _CAMERAS, "images": _IMAGES, **files}.items():
            _file(f"c/{stem}.txt", text)(folder)

    return _fuse(f"colmap: {name}", make, poses="c", said=said or "c/", code=code)


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _campose(name: str, data: bytes) -> Try:
    def make(folder: Path) -> None:
        (folder / "c").mkdir()
        (folder / "c" / "campose_0000.npz").write_bytes(data)

    return _fuse(f"campose: {name}", make, poses="c", said="campose_0000.npz|have no pose")


def _scene(name: str, change: Callable[[Path], object], said: str = "in/a", code: int = 2) -> Try:
    return _fuse(f"scene: {name}", lambda folder: change(folder / "in" / "a"), begin=_scenes, said=said, code=code)


def _fact(path: str, value: object) -> Callable[[Path], object]:
    def change(scene: Path) -> None:
        tree = json.loads((scene / "scene.json").read_text())
        *way, last = path.split(".")
        part = tree
        for key in way:
            part = part[key]
        part[last] = value
        (scene / "scene.json").write_text(json.dumps(tree))

    return change


def _far(shift: float) -> Callable[[Path], object]:
    return _file("p.txt", f"a {_LINE}\nb {shift!r} 0 0 0 0 0 1\n")


def _linked(folder: Path) -> None:
    (folder / "p.txt").symlink_to("p.txt")


def _sparse(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(8 << 40)

    return make


def _huge_model(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "c").mkdir()
        _file("c/cameras.txt", _CAMERAS)(folder)
        _file("c/images.txt", _IMAGES)(folder)
        _sparse(f"c/{name}.txt")(folder)

    return make


_NUMBERS = ("nan", "inf", "-inf", "x", "1e400", "0x1", "1_0_", "--1", "")
_ANYTHING = (None, -1, 0, 10**400, 1e300, float("nan"), "x", "", [], {}, [1], True, [[[[]]]])
TRIES = [
    *(_table(f"tx {n!r}", f"a.png {n} 0 0 0 0 0 1\nb.png {_LINE}\n") for n in _NUMBERS),
    *(_table(f"qw {n!r}", f"a.png 0 0 0 0 0 0 {n}\nb.png {_LINE}\n") for n in (*_NUMBERS, "0", "2", "1e-300", "1e300")),
    *(_table(name, text) for name, text in (
        ("empty", ""), ("blank", "\n\n \n"), ("comments", "# a\n"), ("few words", "a.png 1 2 3\n"), ("zeros", bytes(1000)),
        ("latin-1", f"k\xfcche.png {_LINE}\n".encode("latin-1")), ("utf-16", f"a.png {_LINE}".encode("utf-16")),
        ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(99)), ("twice", f"a.png {_LINE}\na.png {_LINE}\nb.png {_LINE}\n"),
        ("one long line", "x" * 1_000_000), ("a million spaces", " " * 1_000_000), ("cut", f"a.png {_LINE}\nb.png 0 0"))),
    _table("no photo of ours", f"c.png {_LINE}\n", "have no pose"),
    _table("one is missing", f"a.png {_LINE}\n", "b.png"),
    _table("escapes", f"\x1b[2J.png {_LINE}\n", "have no pose"),
    _table("two that fit", f"x/a.png {_LINE}\ny/a.png {_LINE}\nb.png {_LINE}\n", "all fit"),
    _fuse("table: a folder", lambda folder: (folder / "p.txt").mkdir(), said="holds no poses"),
    _fuse("table: a link to itself", _linked),
    _fuse("table: a pipe", lambda folder: os.mkfifo(folder / "p.txt")),
    _fuse("table: eight terabytes", _sparse("p.txt"), said="at most"),
    _fuse("table: /dev/zero", lambda folder: None, poses="/dev/zero"),
    _fuse("table: not ours to read", lambda folder: (folder / "p.txt").symlink_to("/proc/self/mem")),
    *(_json(name, text) for name, text in (
        ("empty", ""), ("deep", _DEEP), ("deep object", '{"a":' * 100_000), ("no object", "5"), ("a list", "[]"),
        ("null", "null"), ("no frames", "{}"), ("frames of nothing", {"frames": []}), ("cut", json.dumps(_frames())[:50]),
        ("nan", '{"frames": NaN}'), ("latin-1", '{"\xfc": 1}'.encode("latin-1")), ("a number of a million digits",
        '{"frames": ' + "1" * 1_000_000 + "}"), ("frames is an object", {"frames": {}}), ("a picture", b"\x89PNG"))),
    *(_json(f"pose {value!r:.20}", _frames(value)) for value in (
        *_ANYTHING, np.eye(3).tolist(), (2 * np.eye(4)).tolist(), np.diag([1.0, 1, -1, 1]).tolist(), [[float("nan")] * 4] * 4,
        [[10**400] * 4] * 4, [["x"] * 4] * 4, [[1, 0, 0], [0, 1], [0, 0, 1]], np.zeros((4, 4)).tolist(), [_EYE])),
    *(_json(f"name {value!r:.20}", _frames(name=value), "t.json|have no pose") for value in (
        *_ANYTHING, "/etc/passwd", "\x00", "b.png", "\x1b[31m", "x" * 100_000)),
    *(_json(f"frame {value!r:.20}", {"frames": [value]}) for value in _ANYTHING),
    *(_json(f"{key} {value!r:.20}", _frames(**{**_LENS, key: value})) for key in ("w", "h", "fl_x") for value in (
        -1, 0, 10**400, float("nan"), float("inf"), "x", [], {}, [1]) if (key, value) != ("fl_x", 0)),
    *(_json(f"angle {value!r:.20}", _frames(w=80, h=60, camera_angle_x=value)) for value in (
        -1, 0, 4, 1e300, float("nan"), "x", [], {}, 10**400)),
    *(_json(f"{key} {value!r:.20}", _frames(**{**_LENS, key: value})) for key in ("cx", "cy", "fl_y") for value in (
        "x", float("nan"), float("inf"), [1], {"a": 1}, 10**400)),
    *(_json(f"k1 {value!r:.20}", _frames(**{**_LENS, "k1": value})) for value in ("x", [1], {"a": 1}, 10**400)),
    *(_json(f"a camera of {w}x{h}", _frames(**{**_LENS, "w": w, "h": h}), "in/a.png cannot be used")
      for w, h in ((10**6, 10**6), (1, 1), (60, 80))),
    *(_colmap(f"cameras {name}", cameras=text) for name, text in (
        ("empty", ""), ("few words", "1 PINHOLE 80\n"), ("no number", "1 PINHOLE 80 60 x 60 40 30\n"), ("fisheye",
        "1 OPENCV_FISHEYE 80 60 1 1 1 1 0 0 0 0\n"), ("nan", "1 PINHOLE 80 60 nan 60 40 30\n"), ("negative",
        "1 PINHOLE -80 60 60 60 40 30\n"), ("short", "1 PINHOLE 80 60 60\n"), ("latin-1", b"1 PINHOLE \xfc\n"),
        ("zeros", bytes(999)), ("a long number", f"1 PINHOLE {'9' * 5000} 60 60 60 40 30\n"), ("other id",
        "2 PINHOLE 80 60 60 60 40 30\n"))),
    *(_colmap(f"images {name}", images=text, said="c|pose") for name, text in (
        ("empty", ""), ("few words", "1 1 0 0\n"), ("no number", "1 x 0 0 0 0 0 0 1 a.png\n\n"), ("nan",
        "1 1 0 0 0 nan 0 0 1 a.png\n\n"), ("quaternion 0", "1 0 0 0 0 0 0 0 1 a.png\n\n"), ("no such camera",
        "1 1 0 0 0 0 0 0 9 a.png\n\n"), ("latin-1", b"1 1 0 0 0 0 0 0 1 \xfc.png\n\n"), ("zeros", bytes(999)),
        ("twice", "1 1 0 0 0 0 0 0 1 a.png\n\n" * 2), ("without second lines", _IMAGES.replace("\n\n", "\n")))),
    *(_colmap(f"points {name}", points3D=text, said="points3D") for name, text in (
        ("short", "7 1\n"), ("no number", "7 x 0 0\n"), ("latin-1", b"7 \xfc"), ("zeros", bytes(99)),
        ("nan", "7 nan 0 0\n"))),
    *(_fuse(f"colmap: {name} of eight terabytes", _huge_model(name), poses="c", said=f"{name}.txt")
      for name in ("cameras", "images", "points3D")),
    *(_campose(name, data) for name, data in (
        ("empty", b""), ("text", b"x" * 100), ("cut", _npz(camera2world=np.eye(4))[:200]), ("other key", _npz(x=np.eye(4))),
        ("nan", _npz(camera2world=np.full((4, 4), np.nan))), ("3x3", _npz(camera2world=np.eye(3))), ("float16",
        _npz(camera2world=np.eye(4, dtype=np.float16))), ("scaled", _npz(camera2world=2 * np.eye(4))), ("objects",
        _npz(camera2world=np.array([[None] * 4] * 4))), ("mirror", _npz(camera2world=np.diag([1.0, 1, -1, 1]))))),
    *(_fuse(f"places {shift:g} m apart", _far(shift), said="reach over|scale of the poses")
      for shift in (1e6, 1e9, 1e12, 1e18, 1e25, 1e300)),
    *(_fuse(f"a scale of {scale}", _file("p.txt", f"a {_LINE}\nb 9 9 9 0 0 0 1\n"), "--pose-scale", scale, said="scale of")
      for scale in ("1e5", "999999")),
    _fuse("auto of one place", _file("p.txt", f"a {_LINE}\nb {_LINE}\n"), "--pose-scale", "auto", said="scale"),
    *(_scene(f"scene.json is {text[:20]!r}", lambda scene, text=text: (scene / "scene.json").write_text(text))
      for text in ("", "{}", "[]", "5", _DEEP, '{"format_version": 1}', "x")),
    *(_scene(f"{path} is {value!r:.20}", _fact(path, value)) for path, values in (
        ("grid.shape", (None, [], [1, 2], [0, 1, 1], [-1, 5, 5], [10**6] * 3, [513, 513, 513], "x", [32, 28, 35])),
        ("grid.voxel_size_m", (0, -1, "x", None, 1e400)), ("grid.camera_index", (None, [1], ["x"] * 3, [1e400] * 3)),
        ("camera", (None, [], {}, 5)), ("camera.fx_px", (0, -1, "x", 1e400)), ("camera.width", (0, -1, "x")),
        ("segments", (None, 5, [5], [{}])), ("provenance", (None, 5, "x")),
        ("views", (5, "x", [5], [{}]))) for value in values),
    *(_scene(f"scene.npz is {name}", lambda scene, data=data: (scene / "scene.npz").write_bytes(data)) for name, data in (
        ("empty", b""), ("text", b"x" * 99), ("a picture", b"\x89PNG\r\n\x1a\n"), ("other arrays", _npz(x=np.eye(4))),
        ("objects", _npz(distance_field=np.array([None]))))),
    _scene("scene.npz is gone", lambda scene: (scene / "scene.npz").unlink()),
    _scene("scene.npz is a folder", lambda scene: ((scene / "scene.npz").unlink(), (scene / "scene.npz").mkdir())),
    _scene("scene.npz is a pipe", lambda scene: ((scene / "scene.npz").unlink(), os.mkfifo(scene / "scene.npz"))),
    _scene("scene.json is a pipe", lambda scene: ((scene / "scene.json").unlink(), os.mkfifo(scene / "scene.json")), said=""),
    _scene("scene.npz is a link to itself", lambda scene: ((scene / "scene.npz").unlink(),
           (scene / "scene.npz").symlink_to("scene.npz"))),
    *(_scene(f"taxonomy is {value!r}", _fact("taxonomy", value), said="classes of") for value in (5, "x", None)),
    _scene("other voxels", _fact("grid.voxel_size_m", 0.2), said="voxels of"),
    _fuse("photos: a text among them", lambda folder: (_file("in/c.jpg", "x")(folder),
          _file("p.txt", f"a.png {_LINE}\nb.png {_LINE}\nc.jpg {_LINE}\n")(folder)), said="in/c.jpg"),
    _fuse("photos and scenes", lambda folder: _file("in/c.png", b"x")(folder), begin=_scenes, said="one of the two"),
]  # fmt: skip


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("one", a_few(TRIES, 25), ids=str)
def test_what_fuse_is_given(
    one: Try, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(one, tmp_path, capfd, monkeypatch)
    assert not (tmp_path / "out").exists()
