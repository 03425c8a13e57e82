"""Work that is taken up where it stopped, in one process and in several."""

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from panoptic3d.errors import Panoptic3dError
from panoptic3d.resumable import Journal, Workers, resumable_map


def square(key: int) -> int:
    if key < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return key * key


def mark(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def journal_at(path: Path) -> Journal[int, int]:
    lines = path.read_text().splitlines() if path.exists() else []
    known = {int(k): int(v) for k, v in (line.split() for line in lines if line.count(" ") == 1)}
    return Journal(known.get, lambda key, result: [f"{key} {result}"], path)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for key, _ in resumable_map(square, range(4), journal_at(path)).fresh:
        if key == 2:
            break  # killed while it wrote the next line
    path.write_text(path.read_text() + "3")
    again = resumable_map(square, range(4), journal_at(path))
    assert (again.known, again.todo) == ({0: 0, 1: 1, 2: 4}, [3])
    assert dict(again.fresh) == {3: 9}
    assert resumable_map(square, range(4), journal_at(path)).todo == []


def test_nothing_is_kept_without_a_journal() -> None:
    run = resumable_map(square, [3, 1])
    assert (run.known, list(run.fresh)) == ({}, [(3, 9), (1, 1)])


@pytest.mark.slow
def test_several_processes_do_the_same(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    workers = Workers(2, begin=partial(mark, tmp_path / "begun"))
    done = dict(resumable_map(square, range(20), journal_at(tmp_path / "journal"), workers).fresh)
    assert done == {key: key * key for key in range(20)}
    assert journal_at(tmp_path / "journal").recall(19) == 361
    assert 1 <= len(list((tmp_path / "begun").iterdir())) <= 2
    assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.slow
def test_a_key_that_kills_its_process() -> None:
    keys = [5, -1, 6, 7]
    with pytest.raises(Panoptic3dError, match="run the same command again with fewer --jobs"):
        dict(resumable_map(square, keys, workers=Workers(2, "--jobs")).fresh)
    workers = Workers[int, int](2, when_killed=lambda key: 0)
    assert dict(resumable_map(square, keys, workers=workers).fresh) == {5: 25, -1: 0, 6: 36, 7: 49}


def test_a_worker_that_is_killed_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool does not know of it: sending a worker its first words fails instead."""

    def sent(*call: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(ProcessPoolExecutor, "submit", sent)
    with pytest.raises(Panoptic3dError, match="run the same command again with fewer --jobs"):
        list(resumable_map(square, [2, 3], workers=Workers(2, "--jobs")).fresh)
    workers = Workers[int, int](2, when_killed=lambda key: -key)
    assert list(resumable_map(square, [2, 3], workers=workers).fresh) == [(2, -2), (3, -3)]


@pytest.mark.slow
@pytest.mark.parametrize("num_keys", [2, 8])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_is_killed_while_the_next_one_starts(
    monkeypatch: pytest.MonkeyPatch, when: str, num_keys: int
) -> None:
    """The pool ends the workers that it knows, closes its pipes, and only then gets to know the next one."""
    start, started = BaseProcess.start, list[BaseProcess]()

    def lose_the_first() -> None:
        if started:
            started[0].kill()
            started[0].join()
            time.sleep(1)  # time for the pool to see it

    def started_late(process: BaseProcess) -> None:
        if when == "before":
            lose_the_first()
        start(process)
        if when == "after":
            lose_the_first()
        started.append(process)

    monkeypatch.setattr(BaseProcess, "start", started_late)
    with pytest.raises(Panoptic3dError, match="run the same command again with fewer --jobs"):
        list(resumable_map(square, range(num_keys), workers=Workers(2, "--jobs")).fresh)
    for process in started:
        process.join(timeout=20)
        assert not process.is_alive()
