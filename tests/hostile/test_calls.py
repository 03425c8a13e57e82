"""Wrong calls of every verb: exit code 2, one sentence, before any work."""

from pathlib import Path

import pytest

from tests.hostile.runner import Try, a_few, hold
from tests.predictor.hostile import picture

_NUMBERS = ("-3", "0", "x", "1.5", "", "nan", "9" * 30 + "x")
_FILES = (".", "/nowhere/r.json", "a.png/r.json")


def _room(folder: Path) -> None:
    picture().save(folder / "a.png")
    (folder / "in").mkdir()
    picture().save(folder / "in" / "b.png")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("mine")


def _call(*words: str, code: int = 2, said: str = "") -> Try:
    def prepare(folder: Path) -> tuple[str, ...]:
        _room(folder)
        return words

    return Try(" ".join(word[:30] or "''" for word in words), prepare, code, said)


_PREDICT = ("predict", "a.png", "--out", "out", "--device", "cpu")
TRIES = [
    _call("no-verb"),
    _call("data"),
    _call("data", "no-verb"),
    _call("predict"),
    _call("predict", "a.png", "--nonsense", "--out", "o"),
    *(_call(*_PREDICT, f"--batch-size={n}") for n in _NUMBERS),
    *(_call(*_PREDICT, f"--simplify={n}") for n in ("-1", "x", "nan", "inf", "1000", "")),
    *(_call(*_PREDICT, f"--fov-deg={n}") for n in ("-3", "0", "180", "200", "x", "nan", "inf", "1e-9", "179.9999")),
    *(
        _call(*_PREDICT, f"--intrinsics={text}")
        for text in (
            *("", "1", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,0", "-5,5,1,1", "nan,5,1,1", "inf,5,1,1"),
            *("1e-300,1e-300,0,0", "1e300,1e300,0,0", "50,50,1e9,5", "50,50,5,-1e9", "50,,5,5"),
        )
    ),
    _call(*_PREDICT, "--fov-deg=60", "--intrinsics=50,50,5,5"),
    *(_call(*_PREDICT, f"--depth={name}") for name in
      ("nothing.exr", "a.png", "notes.txt", "empty", "/dev/null", "x" * 5000)),
    *(_call(*_PREDICT, "--depth=a.png", f"--depth-unit={text}") for text in ("", "x", "0", "-1", "nan", "1/0")),
    *(_call(*_PREDICT, "--depth=a.png", f"--depth-intrinsics={text}") for text in ("", "1,2,3", "a,b,c,d", "nan,5,1,1")),
    *(_call(*_PREDICT, f"--camera-height-m={n}") for n in ("-1", "0", "x", "nan", "inf", "1e9")),
    *(_call(*_PREDICT, f"--known-length={text}") for text in
      ("", "1,2,3,4", "a,b,c,d,e", "1,2,3,4,0", "1,2,3,4,-1", "1,2,3,4,nan", "-1,2,3,4,1", "1,2,inf,4,1")),
    _call("predict", "in", "--out", "out", "--device", "cpu", "--known-length=1,2,3,4,1", said="one photo"),
    _call(*_PREDICT, "--known-length=1,2,3,4,1", "--camera-height-m=1"),
    _call(*_PREDICT, "--depth=a.png", "--depth-kind=x"),
    _call(*_PREDICT, "--depth-kind=affine", said="--depth"),
    _call("predict", "a.png", "in", "--out", "out", "--depth=notes.txt", "--device", "cpu", said="one file"),
    *(_call(*_PREDICT, "--checkpoint", name, said="nowhere|a file|a folder without") for name in
      ("nowhere", "a.png", "empty", "x" * 5000, "../../..", "/dev/null", "\x1b[31m")),
    *(_call("predict", name, "--out", "out", "--device", "cpu") for name in
      ("nothing.png", "empty", "notes.txt", "/dev/null", "/dev/zero", "x" * 300, "x" * 5000, "b\x1b[2J.png", "b\nc.png")),
    *(_call("predict", "in", "--out", out, "--device", "cpu") for out in ("a.png",)),
    _call("fuse", "in", "--out", "o", said="--poses"),
    _call("fuse", "--data", "in", "--out", "o"),
    _call("fuse", "in", "--data", "in", "--out", "o", said="leave DIR"),
    _call("fuse", "--data", "in", "--out", "o", "--fov-deg=60", said="--fov-deg"),
    _call("fuse", "--data", "in", "--out", "o", "--overwrite", said="--overwrite"),
    _call(*_PREDICT, "--depth-model=json:loads", "--depth-unit=mm", "--trust=json", said="--depth-unit"),
    _call("fuse", "in", "--poses", "notes.txt", "--split", "x", "--out", "o", said="--data"),
    *(_call("fuse", "--data", "in", "--out", "o", f"--views={n}") for n in ("-3", "0", "x", "1.5", "")),
    *(_call("evaluate", "--data", "in", "--split", "notes.txt", "--fused", name) for name in ("nothing", "a.png", "empty")),
    *(_call("fuse", name, "--poses", "notes.txt", "--out", "o") for name in ("nothing", "a.png", "in", "empty", "/dev/null")),
    *(_call("fuse", "in", "--poses", name, "--out", "o") for name in
      ("nothing", "a.png", "empty", "in", "/dev/null", "x" * 5000)),
    *(_call("fuse", "in", "--poses", "notes.txt", "--out", "o", f"--pose-scale={n}") for n in
      ("-1", "0", "x", "nan", "inf", "", "1e99")),
    *(_call("view", "in", f"--port={port}", "--no-browser") for port in ("-1", "65536", "x", "1e3")),
    *(_call("view", name, "--no-browser") for name in ("nothing", "a.png", "empty", "in")),
    *(_call("data", "generate", "--out", "o", f"--{name}={n}") for name in ("num", "workers", "views")
      for n in ("-3", "0", "x", "1.5", "")),
    *(_call("data", "generate", "--out", "o", f"--shard={text}") for text in
      ("", "x", "1", "3/3", "-1/3", "1/0", "²/3", "1/2/3", "1/x")),
    *(_call("data", "generate", "--out", "o", f"--config={name}")
      for name in ("nothing.yaml", "a.png", "empty", "notes.txt")),
    *(_call("data", "verify", name) for name in ("nothing", "a.png", "empty", "in", "/dev/null")),
    *(_call("data", "pack", name, "--out", "o") for name in ("nothing", "a.png", "empty", "in")),
    *(_call("data", "inspect", name, "--out", "o.png") for name in ("nothing", "a.png", "empty", "in")),
    *(_call("data", "assets", name, "--out", "o") for name in ("nothing", "a.png", "empty", "in")),
    *(_call(verb, what, "in", f"--jobs={n}", *more) for verb, what, more in
      (("data", "verify", ()), ("data", "pack", ("--out", "o"))) for n in ("-3", "0", "x")),
    *(_call("data", "verify", "in", f"--json={name}") for name in _FILES),
    *(_call("data", "pack", "in", "--out", "o", f"--json={name}") for name in _FILES),
    _call("evaluate"),
    _call("evaluate", "--data", "in"),
    _call("evaluate", "--data", "in", "--split", "s.txt"),
    *(_call("evaluate", "--data", name, "--split", "notes.txt", "--predictions", "in") for name in
      ("nothing", "a.png", "empty", "in")),
    *(_call("evaluate", "--data", "in", "--split", "notes.txt", "--predictions", "in", f"--{option}={n}")
      for option in ("workers", "worst", "sensitivity") for n in ("-1", "x", "1.5")),
    *(_call("evaluate", "--data", "in", "--split", "notes.txt", "--predictions", "in", f"--{option}={name}")
      for option in ("json", "markdown", "latex", "html", "records") for name in _FILES),
    *(_call("evaluate", "--compare", first, second) for first, second in
      (("nothing", "nothing"), ("a.png", "a.png"), ("empty", "empty"), ("notes.txt", "notes.txt"))),
    *(_call("train", name) for name in ("nothing.yaml", "a.png", "empty", "notes.txt", "")),
    *(_call("import-checkpoint", name, "--family", "panorecon", "--out", "o") for name in
      ("nothing", "a.png", "empty", "notes.txt", "/dev/null")),
]  # fmt: skip


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("one", a_few(TRIES, 15), ids=str)
def test_a_wrong_call(one: Try, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(one, tmp_path, capfd, monkeypatch)
    assert not (tmp_path / "o").exists() or not any((tmp_path / "o").rglob("*.p3d"))
