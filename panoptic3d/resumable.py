"""Work over many keys, in processes, from where an interrupted run stopped: for evaluate, generate, pack and verify."""

import contextlib
import errno
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from panoptic3d.errors import explained_loss_of_workers

K = TypeVar("K")
R = TypeVar("R")

_AHEAD = 3  # keys in the queue of each worker
_LOOK_S = 1.0  # between two looks for lost workers while no result comes
_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Journal(Generic[K, R]):
    """What runs before this one did, and where this one notes what it does: a line or more for each key, in a file.

    `recall` returns the result of a key if it still holds. Without a `path` nothing is noted, because what the work itself
    writes tells what is done, or because nothing needs to be kept.
    """

    recall: Callable[[K], R | None] = lambda key: None
    lines: Callable[[K, R], Iterable[str]] = lambda key, result: ()
    path: Path | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[K, R], None]]:
        if self.path is None:
            yield lambda key, result: None
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n")  # ends the line at which an earlier run was killed

            def note(key: K, result: R) -> None:
                file.writelines(f"{line}\n" for line in self.lines(key, result))
                file.flush()

            yield note


@dataclass(frozen=True)
class Workers(Generic[K, R]):
    """How many processes, none for one; `option` of the command line sets the number, and is named where one is lost.

    `begin` runs in each of them first. `when_killed` gives the result of a key that kills the process that works on it;
    without it a lost worker ends the run. `start` is multiprocessing's: forking a process that has run torch can hang.
    """

    num: int = 1
    option: str = "--workers"
    begin: Callable[[], None] | None = None
    when_killed: Callable[[K], R] | None = None
    start: str | None = "spawn"


@dataclass(frozen=True)
class Resumed(Generic[K, R]):
    """What is known already, what is to be done, and the results of that in the order in which they are done."""

    known: dict[K, R]
    todo: Sequence[K]
    fresh: Iterator[tuple[K, R]]


def resumable_map(
    work: Callable[[K], R],
    keys: Iterable[K],
    journal: Journal[K, R] = Journal(),
    workers: Workers[K, R] = Workers(),
) -> Resumed[K, R]:
    """`work` of every key that the journal does not know, noted there as soon as it is done. Nothing runs before `fresh` is
    iterated. Work, keys and results of several processes have to be picklable; the work is sent once to each of them.
    """
    known, todo = {}, []
    for key in keys:
        result = journal.recall(key)
        if result is None:
            todo.append(key)
        else:
            known[key] = result
    return Resumed(known, todo, _noted(work, todo, journal, workers))


def _noted(
    work: Callable[[K], R], todo: Sequence[K], journal: Journal[K, R], workers: Workers[K, R]
) -> Iterator[tuple[K, R]]:
    with journal.opened() as note:
        for key, result in _done(work, todo, workers):
            note(key, result)
            yield key, result


def _done(work: Callable[[K], R], keys: Sequence[K], workers: Workers[K, R]) -> Iterator[tuple[K, R]]:
    if workers.num <= 1:
        yield from ((key, work(key)) for key in keys)
        return
    when_killed, left = workers.when_killed, dict.fromkeys(keys)
    try:
        for key, result in _in_processes(work, keys, workers):
            del left[key]
            yield key, result
    except BrokenExecutor as error:
        if when_killed is None:
            with explained_loss_of_workers(workers.option):
                raise error
        yield from ((key, _alone(work, key, workers, when_killed)) for key in left)


def _alone(work: Callable[[K], R], key: K, workers: Workers[K, R], when_killed: Callable[[K], R]) -> R:
    """In a process of its own, so that one key that kills it costs no other."""
    try:
        return next(_in_processes(work, [key], workers, num=1))[1]
    except BrokenExecutor:
        return when_killed(key)


def _in_processes(
    work: Callable[[K], R], keys: Sequence[K], workers: Workers[K, R], num: int | None = None
) -> Iterator[tuple[K, R]]:
    context, waiting, num = multiprocessing.get_context(workers.start), iter(keys), num or workers.num
    with (
        _one_thread_each(),
        ProcessPoolExecutor(num, context, initializer=_begin, initargs=(work, workers.begin)) as pool,
    ):
        crew = _Crew()
        try:
            running = crew.submitted(pool, islice(waiting, _AHEAD * num))
            while running:
                done, _ = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                finished = [(running.pop(future), future) for future in done]
                if not finished:
                    crew.look()
                running |= crew.submitted(pool, islice(waiting, len(done)))
                for key, future in finished:
                    yield key, future.result()
        except BrokenExecutor:
            crew.end()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Crew:
    """The workers of a pool. A pool that loses one of them while it starts another forgets that other, and whoever ends the
    pool would wait for it for ever; and what is submitted at that moment gets no answer.
    """

    members: list[BaseProcess] = field(default_factory=list)

    def submitted(self, pool: ProcessPoolExecutor, keys: Iterable[K]) -> dict[Future, K]:
        """A call starts a worker as long as there are fewer than the pool may have."""
        others = multiprocessing.active_children()
        try:
            return {pool.submit(_work_on, key): key for key in keys}
        except OSError as error:
            if error.errno not in (None, errno.EPIPE):  # pipes to lost workers are broken, or closed by the pool
                raise
            raise BrokenExecutor("a worker was killed while it started") from error
        finally:
            self.members += [child for child in multiprocessing.active_children() if child not in others]

    def look(self) -> None:
        if not all(member.is_alive() for member in self.members):
            raise BrokenExecutor("a worker was killed")

    def end(self) -> None:
        for member in self.members:
            member.kill()


_work: Callable[[Any], Any]  # of a worker process


def _work_on(key: Any) -> Any:
    return _work(key)


def _begin(work: Callable[[Any], Any], begin: Callable[[], None] | None) -> None:
    """One thread, and an end when the parent is killed (workers of a pool would wait for ever)."""
    import torch

    global _work
    _work = work
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    if begin is not None:
        begin()


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Libraries of workers take one thread each: with more they wait for each other."""
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
