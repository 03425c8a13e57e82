"""Faults of the list of 2026-11-30 that no other test holds: M.. are its medium ones, L.. the lines of its low ones, as in
docs/experiments/2026-11-30-faults.md.
"""

import contextlib
import io
import json
import logging
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.cli.process import Terminated
from panoptic3d.data.predictions import prediction_path, read_prediction
from panoptic3d.engine.evaluation.tables import to_latex, to_markdown
from panoptic3d.engine.training.checkpoint import CHECKSUMS, TRAINING, Checkpoint, newest_intact, write_checkpoint
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.export.folder import write_folder_atomically
from panoptic3d.files import sha256_of_file, write_bytes_atomically
from panoptic3d.machine import commit
from panoptic3d.metrics.table import Table
from panoptic3d.models.checkpoints.folder import read_config_tree
from panoptic3d.predictor.photos import load_photo
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from tests.hostile.runner import Try, a_few, hold
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture

_DEEP = "[" * 100_000


def _chunked(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("block", [b"\xff" * 40, b"MM\0*" + b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff" + b"\1" * 24, b""])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "TIFF"])
def test_l1_pixels_beside_a_broken_exif_block_are_sound(kind: str, block: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if kind == "PNG":
        picture().save(path, kind)
        path.write_bytes(_chunked(path.read_bytes(), b"eXIf", block))
    elif kind == "TIFF":
        picture().save(path, kind)  # its tags are its structure: what is broken there is the picture
    else:
        picture().save(path, kind, exif=b"Exif\0\0" + block, **({"lossless": True} if kind == "WEBP" else {}))
    assert load_photo(path).image.shape == (3, 60, 80)


def _home(folder: Path) -> None:
    picture().save(folder / "a.png")
    (folder / "in").mkdir()
    (folder / "notes.txt").write_text("room/0000\n")
    (folder / "a.yaml").write_text("method: clearview\n")


def _call(
    line: str,
    *words: object,
    code: int = 2,
    said: str = "",
    more: Callable[[Path], object] = str,
    writes: Sequence[str] = (),
) -> Try:
    def prepare(folder: Path) -> Sequence[object]:
        _home(folder)
        more(folder)
        return words

    return Try(f"{line} {' '.join(str(word)[:40] for word in words)}", prepare, code, said, tuple(writes))


def _photos(*names: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            picture().save(folder / name, "PNG")

    return make


def _texts(**texts: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        for name, text in texts.items():
            path = folder / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, errors="surrogateescape")

    return make


def _bad_names(folder: Path) -> None:
    for name in ("b\x1b[2J.png", "c\nd.png", "e\u202ef.png", os.fsdecode(b"g\xff.png")):
        (folder / "in" / name).write_bytes(b"no picture")


_PREDICT = ("predict", "--device", "cpu", "--out", "o")
_YAMLS = {
    "deep": "a: " + _DEEP, "a list as key": "? [a, b]\n: 1\n", "a mapping as key": "? {a: b}\n: 1\n",
    "a day": "a: 2020-99-99\n",
    "an int": "a: !!int abc\n", "many digits": "seed: " + "9" * 100_000 + "\n", "a float": "a: !!float x\n",
    "a time": "a: !!timestamp x\n", "bytes": "a: !!binary '*'\n", "a set": "!!set {a, b}\n", "an alias": "a: *b\n",
    "laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "a tag": "a: !!python/object/apply:os.system [x]\n",
    "itself": "a: &a [*a]\n", "nothing": "", "a word": "x", "nul": "a: \0\n", "two": "a: 1\n---\nb: 2\n", "merge": "<<: 5\n",
}  # fmt: skip
_ONE_STEP = "method: clearview\nstages: [{name: a, steps: 1}]\n"
_SPLITS = (
    "",
    "\n \n\t\n",
    "a\0b/c\n",
    "x" * 5000 + "/0001\n",
    "/etc/passwd\n",
    "../../x\n",
    "\udcff/0001\n",
    "a\n",
    "//\n",
)
TRIES = [
    *(_call("L2", *_PREDICT, "a.png", f"--intrinsics={text}")
      for text in ("1e-300,1e-300,0,0", "5e-324,5,1,1", "1e308,1e308,1,1", "50,50,1e9,5", "50,50,5,-1e9")),
    *(_call("L2", *_PREDICT, "a.png", f"--fov-deg={n}") for n in ("1e-9", "179.9999", "0.5", "1e-300")),
    *(_call("L3", *_PREDICT, f"./{name}", code=0, more=_photos(name), writes=("o",))
      for name in ("..jpg", "...jpg", "....jpg", ". .jpg", " .jpg", "...")),
    _call("L4", *_PREDICT, "in", code=1, said="failed", more=_bad_names, writes=("o",)),
    _call("L6", "view", "in", "--port", "-1", "--no-browser"),
    _call("L6", "view", "in", "--port", "65536", "--no-browser"),
    *(_call("L7", "data", "pack", "in", "--out", out) for out in ("notes.txt", "/proc/x", "/dev/null", "a.png/o")),
    *(_call("L7", "evaluate", "--compare", "r.json", "r.json", option, place)
      for option in ("--markdown", "--latex", "--html", "--json") for place in ("/nowhere/r", "in", "a.png/r")),
    *(_call("L9", "train", "a.yaml", more=_texts(a_dot_yaml=text)) for text in _YAMLS.values()),
    *(_call("L9", "data", verb, "p", *more, more=_texts(p__packed_dot_json=text))
      for verb, more in (("verify", ()), ("pack", ("--out", "o")))
      for text in (_DEEP, "[]", "5", "{}", '{"format": []}', "\udcff", '{"format_version": 1e999}')),
    *(_call("L10", *_PREDICT, "a.png", "--checkpoint", name)
      for name in ("x" * 5000, "x/" * 2500, "a\nb", "\x1b[2J", "\udcff")),
    *(_call("M16", "train", "a.yaml", f"--{key}={value}", more=_texts(a_dot_yaml=_ONE_STEP))
      for key, value in (("loader.batch_size", -1), ("loader.batch_size", 0), ("loader.num_workers", -1),
                         ("loader.prefetch_batches", 0), ("optimizer.betas", "[1, 1]"), ("loader.batch_size", "nan"))),
    *(_call("L13", "data", "verify", "p", "--split", "s.txt", more=_texts(s_dot_txt=text, p__packed_dot_json="{}"))
      for text in _SPLITS),
    *(_call("L13", "evaluate", "--data", "in", "--predictions", "in", "--split", "s.txt", more=_texts(s_dot_txt=text))
      for text in _SPLITS),
    *(_call("L14", "evaluate", "--data", "in", "--predictions", "in", "--split", "s.txt", "--json", name)
      for name in ("s.txt", "in/../s.txt")),
]  # fmt: skip


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("one", a_few(TRIES, 40), ids=str)
def test_calls(one: Try, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(one, tmp_path, capfd, monkeypatch)


@pytest.mark.parametrize("what", ["absent", "slow", "no utf-8", "broken"])
def test_m13_a_git_that_does_not_answer_costs_the_name_of_the_commit_alone(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {"slow": "exec sleep 60", "no utf-8": "printf '\\377\\n'", "broken": "exit 1"}
    if what in scripts:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{scripts[what]}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if what in scripts else str(tmp_path))
    monkeypatch.setattr("panoptic3d.machine._GIT_S", 0.1)
    commit.cache_clear()
    try:
        assert commit() == ("\ufffd" if what == "no utf-8" else "")
    finally:
        commit.cache_clear()


@pytest.mark.slow
def test_m20_sigterm_writes_the_index(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Ended(Echo):
        def scenes(self, images: torch.Tensor, cameras: Sequence[Camera]) -> list[PanopticScene]:
            if self.asked:
                raise Terminated
            return super().scenes(images, cameras)

    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: _Ended())
    _photos("a.png", "b.png")(tmp_path)
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "o"), "--device", "cpu"]) == 143
    assert capfd.readouterr().err.endswith("panoptic3d: interrupted; what was finished is on the disk.\n")
    lines = [json.loads(line) for line in (tmp_path / "o" / "index.jsonl").read_text().splitlines()]
    assert [line["scene"] for line in lines] == ["a"]


@pytest.mark.slow
@pytest.mark.usefixtures("echo")
def test_l5_a_scene_never_lies_in_another(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _photos("in/a.png", "in/c.png")(tmp_path)
    assert main([*_PREDICT, "in"]) == 0
    _photos("in/a/b.png")(tmp_path)
    (tmp_path / "in" / "c.png").unlink()
    assert main([*_PREDICT, "in", "in/c.png"]) == 1
    said = capfd.readouterr().err
    assert "in/a/b.png failed: o/a/b would lie inside of the scene o/a" in said
    assert "in/c.png failed: in/c.png cannot be read (No such file or directory)" in said
    found = sorted(path.parent.name for path in Path("o").rglob("scene.json"))
    assert found == ["a", "a.png", "c"], "`a.png` would hold `a/b.png` under its old name"


_ENVIRONMENTS = [
    {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"}, {"SLURM_ARRAY_TASK_ID": "1"},
    {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "3"}, {"SLURM_ARRAY_TASK_ID": "-1", "SLURM_ARRAY_TASK_COUNT": "3"},
    {"SLURM_ARRAY_TASK_ID": "\u00b2", "SLURM_ARRAY_TASK_COUNT": "3"},
    {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "x"},
    {"RANK": "a", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "0", "WORLD_SIZE": "x"},
    {"RANK": "0", "WORLD_SIZE": "0"}, {"RANK": "0", "WORLD_SIZE": "9" * 5000},
]  # fmt: skip


@pytest.mark.parametrize("environment", _ENVIRONMENTS, ids=lambda e: str(e)[:80])
def test_l8_a_task_that_is_no_number(
    environment: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hold(_call("L8", "data", "generate", "--num", "1", "--out", "o", "--rooms", "boxes"), tmp_path, capfd, monkeypatch)


def _resealed(path: Path, training: bytes) -> None:
    """A checkpoint of a stranger: another state of the training, and every checksum right."""
    (path / TRAINING).write_bytes(training)
    sums = {p.name: sha256_of_file(p) for p in path.iterdir() if p.name != CHECKSUMS}
    (path / CHECKSUMS).write_text(json.dumps(sums))


def _checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"a": torch.zeros(2)}, {"method": "x"}, {"family": "x"}, {"step": step})


@pytest.mark.parametrize("text", [_DEEP, "[]", "5", "null", "{}", '{"training.pt": 5}', "\udcff", '{"a":' * 50_000])
def test_l9_checksums_that_are_none_are_passed_over(text: str, tmp_path: Path) -> None:
    good, bad = (write_checkpoint(tmp_path, _checkpoint(step)) for step in (1, 2))
    (bad / CHECKSUMS).write_text(text, errors="surrogateescape")
    assert newest_intact(tmp_path) == good


def test_l10_a_key_given_twice_is_an_error_in_a_checkpoint_too(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"method": "clearview", "method": "buol"}')
    with pytest.raises(InputError, match="given twice"):
        read_config_tree(tmp_path)


_CONFIGS = (
    _DEEP,
    '{"a":' * 50_000,
    "9" * 100_000,
    "[]",
    "5",
    "null",
    '{"a": 1, "a": 2}',
    "\udcff",
    "NaN",
    '{"a": 1e999}',
    "",
)


@pytest.mark.parametrize("text", _CONFIGS, ids=lambda text: text[:20])
def test_l9_configs_of_checkpoints(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = _texts(c__config_dot_json=text, c__model_dot_safetensors="x")
    hold(_call("L9", *_PREDICT, "a.png", "--checkpoint", "c", more=more), tmp_path, capfd, monkeypatch)


_TRAIN = """
method: tests.engine.small_method:SmallMethod
settings: {width: 2}
data: {root: %s}
stages: [{name: joint, steps: 4}]
checkpoint: {every: 1}
loader: {num_workers: 0}
device: cpu
"""


class _Runs:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("it-ran",)


def _changed(**changes: object) -> Callable[[dict], object]:
    return lambda state: {key: value for key, value in (state | changes).items() if value is not None}


_STATES: dict[str, Callable[[dict], object]] = {
    "code": lambda state: state | {"step": _Runs()},
    "no mapping": lambda state: [1],
    "nothing": lambda state: {},
    "foreign keys": lambda state: {"a": 1},
    **{
        f"no {key}": _changed(**{key: None})
        for key in ("step", "stage", "position", "random", "optimizer", "faults", "format")
    },
    **{f"step {value!r}": _changed(step=value) for value in (-5, "x", 1e9, float("nan"), [1], True, 10**30)},
    **{
        f"position {value!r}": _changed(position=value)
        for value in ({}, {"epoch": -1, "step": 0}, 5, {"epoch": 0, "step": "x"})
    },
    **{
        f"{key} is 5": _changed(**{key: 5})
        for key in ("random", "optimizer", "standing", "config", "beside_network", "faults")
    },
    "another format": _changed(format=99),
    "another optimizer": _changed(
        optimizer={"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 1.0}]}
    ),
}


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory, small_rooms: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "t.yaml").write_text(_TRAIN % small_rooms)
    assert main(["train", str(folder / "t.yaml"), "--folder", str(folder / "first")]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", _STATES)
def test_l11_the_state_of_a_strangers_training(
    name: str, finished_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(folder: Path) -> Sequence[object]:
        path = folder / "step-00000002"
        shutil.copytree(finished_run / "first" / "checkpoints" / "step-00000003", path)
        buffer = io.BytesIO()
        torch.save(_STATES[name](torch.load(path / TRAINING, weights_only=True)), buffer)
        _resealed(path, buffer.getvalue())
        return "train", finished_run / "t.yaml", "--folder", "run", "--resume", path

    hold(Try(name, prepare, 2, writes=("run",)), tmp_path, capfd, monkeypatch)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_l11_another_optimizer_on_resume(finished_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = finished_run / "first" / "checkpoints" / "step-00000003"
    words = ["train", str(finished_run / "t.yaml"), "--folder", str(tmp_path / "run"), "--resume", str(path)]
    assert main([*words, "--optimizer", "{name: sgd, momentum: 0.9}"]) == 2
    assert "does not fit the optimizer" in capfd.readouterr().err


def test_l14_two_files_for_one_prediction_are_told(tmp_path: Path) -> None:
    (tmp_path / "a_0001").mkdir()
    for path in (tmp_path / "a_0001" / "scene.npz", tmp_path / "a_0001.npz"):
        path.write_bytes(b"x")
    with pytest.raises(BadFileError, match=r"expected one prediction of a frame, found .*scene\.npz too"):
        read_prediction(prediction_path(tmp_path, "a", "0001"))


@pytest.fixture
def quiet() -> Iterator[None]:
    """`train` leaves its handler to the process, which ends with it; here the next call would write to a closed stream."""
    logging.getLogger("panoptic3d").handlers.clear()
    yield
    logging.getLogger("panoptic3d").handlers.clear()


_NAMES = (
    "a|b",
    "a_b$c%d#e&f{g}h~i^j\\k",
    "<b>x</b>",
    "[x](http://e)",
    "`x`",
    "a\nb",
    "\x1b[2J",
    "\u202ex",
    os.fsdecode(b"a\xff"),
)


@pytest.mark.parametrize("name", _NAMES)
def test_l15_names_in_reports_are_text(name: str) -> None:
    table = Table(name, ("", name), [[name, "1"]], [name])
    markdown, latex = to_markdown([table]), to_latex([table])
    assert "\x1b" not in markdown + latex
    assert "\u202e" not in markdown + latex
    assert all(line.isprintable() for line in (markdown + latex).splitlines())
    row = next(line for line in markdown.splitlines() if line.startswith("|"))
    assert row.replace("\\|", "").count("|") == 3
    assert not re.search(r"(?<!\\)[<`\[]", markdown.replace(" [", ""))
    (cells,) = (line for line in latex.splitlines() if line.endswith("1 \\\\"))
    assert not re.search(r"(?<!\\)[%#$]", cells)


def test_l18_no_other_thread_meets_another_umask(tmp_path: Path) -> None:
    """`os.umask` is never called: a new file takes what the umask leaves by itself."""
    before = os.umask(0o077)
    try:
        with monkeypatched_umask():
            write_bytes_atomically(tmp_path / "a", b"x")
            write_folder_atomically(tmp_path / "b", {"scene.json": b'{"format_version": 1}'}, overwrite=False)
            write_checkpoint(tmp_path, _checkpoint(1))
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


@contextlib.contextmanager
def monkeypatched_umask() -> Iterator[None]:
    with mock.patch("os.umask", side_effect=AssertionError("the umask of the whole process")):
        yield


@pytest.mark.slow
def test_l20_calls_of_the_python_interface(repository: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-m", "tests.hostile.python_calls"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr


def test_l21_an_output_that_takes_nothing_is_one_sentence(repository: Path) -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "panoptic3d", "--version"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=repository)
    assert done.returncode == 1
    assert re.fullmatch(r"panoptic3d: No space left on device.*\.\n", done.stderr), done.stderr
