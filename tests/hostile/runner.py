"""Runs one try and holds it to what every verb promises, whatever it is given."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from panoptic3d.cli.main import main

_LEFT_BEHIND = re.compile(r"\.(partial|retired)-")


@dataclass(frozen=True)
class Try:
    """`prepare` makes the input in an empty folder and returns the words of the call; `writes` names what may change."""

    name: str
    prepare: Callable[[Path], Sequence[object]]
    code: int
    said: str = ""  # a pattern that the sentence on the terminal matches
    writes: tuple[str, ...] = ()  # paths below the folder that the verb may make or change

    def __str__(self) -> str:
        return self.name


def a_few(tries: Iterable, every: int = 20) -> list:
    """All of a table, of which the default tests run one in so many."""
    return [
        one if number % every == 0 else pytest.param(one, marks=pytest.mark.slow) for number, one in enumerate(tries)
    ]


def hold(one: Try, folder: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code, one sentence without a traceback, nothing half-written, and nothing of the user's touched."""
    monkeypatch.chdir(folder)
    words = [str(word) for word in one.prepare(folder)]
    before = fingerprints(folder, one.writes)
    capfd.readouterr()
    code = main(words)
    out, error = capfd.readouterr()
    assert code == one.code, f"{words}: {code}, {error}"
    assert "Traceback" not in out + error
    assert "unexpected" not in error, error
    lines = [
        line for line in error.splitlines() if not re.match(r"(?!panoptic3d)\w+: \d+ of \d+", line)
    ]  # of the progress
    assert lines or code == 0, "a failure says what it is"
    assert all(line.isprintable() for line in lines), lines
    if one.said:
        assert re.search(one.said, out + error), out + error
    assert fingerprints(folder, one.writes) == before, "something of the user's was touched"
    assert not [path for path in folder.rglob("*") if _LEFT_BEHIND.match(path.name)], "something was left behind"


def fingerprints(folder: Path, left_out: Sequence[str] = ()) -> Mapping[str, tuple]:
    """Kind, rights and content of everything below a folder, but for what may change."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(where, name)
            below = os.fspath(path.relative_to(folder))
            if not any(below == change or below.startswith(f"{change}/") for change in left_out):
                found[below] = _fingerprint(path)
    return found


def _fingerprint(path: Path) -> tuple:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return mode, os.readlink(path)
    is_read = stat.S_ISREG(mode) and path.stat().st_size < 1 << 30  # sparse ones of terabytes are tries
    return mode, hashlib.sha256(path.read_bytes()).hexdigest() if is_read else ""
