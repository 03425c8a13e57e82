"""Places and inputs that users mistake for others: what is theirs stays theirs, and a verb says what it needs instead."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.engine.generation.run import read_records
from tests.hostile.runner import Try, a_few, hold
from tests.predictor.hostile import picture

_CHAIR = "v 0 0 0\nv 1 0 0\nv 0 0 1\nv 0 1 0\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
_DEEP = "[" * 100_000
_YAML = "method: tests.engine.small_method:SmallMethod\ndata: {root: in}\nstages: [{name: a, steps: 1}]\ndevice: cpu\n"


class _Runs:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("it-ran",)


def _home(folder: Path) -> None:
    """What a user has lying about."""
    picture().save(folder / "a.png")
    for name in ("in", "empty", "models", "project/models"):
        (folder / name).mkdir(parents=True)
    picture().save(folder / "in" / "b.png")
    for name in ("config.json", "model.safetensors", "library.json", "packed.json", "generation.json", "scene.json"):
        (folder / "project" / name).write_text('{"mine": 1}')
    (folder / "project" / "LICENCES.md").write_text("mine")
    (folder / "notes.txt").write_text("room/0000\n")
    (folder / "models" / "chair.obj").write_text(_CHAIR)
    (folder / "models" / "models.csv").write_text("file,role,licence,author\nchair.obj,stool,CC0-1.0,me\n")
    (folder / "a.yaml").write_text(_YAML)
    torch.save({"model": {}}, folder / "w.pth")
    torch.save({"model": _Runs()}, folder / "evil.pth")
    (folder / "link").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


def _call(*words: object, code: int = 2, said: str = "", name: str = "", more: Callable[[Path], object] = str) -> Try:
    def prepare(folder: Path) -> Sequence[object]:
        _home(folder)
        more(folder)
        return words

    return Try(name or " ".join(str(word)[:30] or "''" for word in words), prepare, code, said)


def _generated(text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "g").mkdir()
        (folder / "g" / "generation.json").write_text(text)

    return make


def _yaml(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "a.yaml").write_text(text)


_FAMILIES = ("panorecon", "buol", "uni3d")
_GENERATE = ("data", "generate", "--num", "1", "--out")
TRIES = [
    *(_call("import-checkpoint", file, "--family", family, "--out", out, said=said)
      for family in _FAMILIES
      for file, out, said in (
          ("evil.pth", "o", "run code"), ("w.pth", "o", "w.pth"), ("in", "o", "in "), ("loop", "o", "loop"))),
    *(_call("import-checkpoint", folder, "--family", family, "--export", "--out", out)
      for family in _FAMILIES for folder, out in (("project", "o.pth"), ("nowhere", "o.pth"), ("in", "in"))),
    *(_call("data", "assets", "models", "--out", out, said="no file of a furniture library|no folder|format|library")
      for out in ("project", "models", ".", "notes.txt")),
    *(_call(*_GENERATE, "g", said="generation.json|another", more=_generated(text), name=f"generation.json is {text[:20]}")
      for text in ("{}", "[]", "5", "", "x", _DEEP, '{"format": "panoptic3d-generated"}', '{"format": 1, "num": "x"}')),
    _call(*_GENERATE, "project", said="generation.json"),
    _call(*_GENERATE, "in", said="not empty"),
    *(_call(*_GENERATE, "o", f"--shard={text}", said="shard") for text in ("0/" + "9" * 5000, "9" * 5000 + "/1")),
    *(_call("train", "a.yaml", said="a.yaml|method", more=_yaml(_YAML.replace("tests.engine.small_method:SmallMethod", m)),
            name=f"method {m}")
      for m in ("'.x:y'", "'..x:y'", "':'", "'x:'", "':y'", "'a b:c'", "'os:system'", "'os.path:join'", "no_such:X",
                "'panoptic3d:nothing'", "'x:y:z'", "[]", "5", "''")),
    *(_call("train", "a.yaml", f"--{key}={value}") for key, value in (
        ("start_from", "nowhere"), ("start_from", "notes.txt"), ("start_from", "in"), ("start_from", "loop"),
        ("folder", "notes.txt"), ("data.root", "nowhere"), ("data.root", "project"), ("data.split", "notes.txt"),
        ("stages", "[]"), ("stages", "[{name: a, steps: 0}]"), ("stages", "[{name: a, steps: -1}]"), ("stages", "x"),
        ("seed", "x"), ("log_every", "0"), ("checkpoint.every", "0"), ("checkpoint.keep", "0"), ("ema_decay", "2"),
        ("clip_norm", "-1"), ("loader.batch_size", "0"), ("no_such", "1"), ("a" * 5000, "1"))),
    *(_call("train", "a.yaml", "--replay", name) for name in ("notes.txt", "nowhere", "evil.pth", "in")),
    *(_call("train", "a.yaml", "--resume", name) for name in ("notes.txt", "nowhere", "evil.pth", "project", "loop", "")),
    *(_call("bench", *words) for words in (
        ("no-such",), ("../faults",), ("sparse", "--nonsense"), ("predict", "--num", "-1"), ("",), ("all", "--x"))),
    *(_call("evaluate", "--data", "in", "--split", "notes.txt", "--predictions", "in", *more, said="would be written twice")
      for more in (("--json", "r.json", "--records", "r.json"), ("--json", "r.json", "--html", "./r.json"),
                   ("--markdown", "r.md", "--latex", "r.md"), ("--json", "notes.txt"), ("--html", "./notes.txt"))),
    *(_call("data", "pack", "in", "--out", out) for out in ("in", "project", "notes.txt", "link", "loop")),
    *(_call("data", "pack", "project", "--unpack", "--out", out) for out in ("project", "o")),
    *(_call("predict", "a.png", "--out", "o", "--device", "cpu", "--checkpoint", name) for name in
      ("project", "w.pth", "loop", "notes.txt", "in")),
    _call("predict", "loop", "--out", "o", "--device", "cpu"),
    _call("predict", "a.png", "--out", "loop", "--device", "cpu"),
    _call("predict", "a.png", "--out", "notes.txt", "--device", "cpu"),
    _call("view", "project", "--no-browser"),
    _call("view", "loop", "--no-browser"),
    _call("doctor", "nonsense"),
]  # fmt: skip


@pytest.mark.parametrize("one", a_few(TRIES, 8), ids=str)
def test_a_place_that_is_somebody_elses(
    one: Try, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(one, tmp_path, capfd, monkeypatch)
    assert not (tmp_path / "it-ran").exists()


def test_foreign_lines_in_journals_are_passed_over(
    tmp_path: Path, repository: Path, capfd: pytest.CaptureFixture
) -> None:
    foreign = [
        "5",
        "[1]",
        "{}",
        "null",
        '{"sample": 1}',
        '{"key": "a"}',
        '{"key": [], "files": {}}',
        _DEEP,
        "\udcff{",
        '"x',
    ]
    text = "\n".join(foreign).encode(errors="surrogateescape")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "0000-of-0001.jsonl").write_bytes(text + b'\n{"key": "a", "files": {}, "facts": {}}')
    assert list(read_records(tmp_path)) == ["a"]
    report = tmp_path / "r.json"
    (tmp_path / "r.json.journal").write_bytes(text)
    assert main(["data", "verify", str(repository / "data" / "tiny"), "--jobs", "1", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["num_bad_samples"] == 0
    assert not (tmp_path / "r.json.journal").exists()
