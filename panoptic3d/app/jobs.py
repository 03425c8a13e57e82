"""The queue: one photo at a time goes through the network. Results are kept for a while and then deleted."""

import queue
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from panoptic3d.app.limits import Limits
from panoptic3d.errors import Panoptic3dError
from panoptic3d.structures.given_depth import KnownLength
from panoptic3d.structures.scene_files import SCENE_FILES

State = Literal["queued", "running", "done", "failed"]
_ID = re.compile(r"[0-9a-f]{32}")
_SCENE = "scene"  # the folder of a job's files, beside its upload


@dataclass(frozen=True)
class Order:
    """A request for a scene, whose values were checked on arrival."""

    photo: Path
    name: str  # of the photo, for the page
    fov_deg: float | None = None
    checkpoint: str | None = None
    depth: Path | None = None
    camera_height_m: float | None = None
    known_length: KnownLength | None = None


@runtime_checkable
class Runner(Protocol):
    """Turns an order into the files of a scene, and reports its progress from 0 to 1."""

    def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Job:
    id: str
    order: Order
    state: State = "queued"
    progress: float = 0.0
    error: str | None = None
    made_s: float = field(default_factory=time.time)


class TooManyError(Panoptic3dError):
    """The queue is full."""


class Jobs:
    """Threads may share it. Each job has a folder of its own below `root`, named by an id that cannot be guessed."""

    def __init__(self, root: Path, runner: Runner, limits: Limits) -> None:
        self._root, self._runner, self.limits = root, runner, limits
        self._lock, self._jobs = threading.Lock(), dict[str, Job]()
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="scenes", daemon=True)
        self._thread.start()

    def new_folder(self) -> tuple[str, Path]:
        """Make an id and a folder for an upload. A full queue is reported before anything is written."""
        self._sweep()
        with self._lock:
            if sum(job.state == "queued" for job in self._jobs.values()) >= self.limits.max_waiting:
                raise TooManyError(f"{self.limits.max_waiting} photos are waiting already; try again in a minute.")
        job_id = secrets.token_hex(16)
        (self._root / job_id).mkdir()
        return job_id, self._root / job_id

    def add(self, job_id: str, order: Order) -> Job:
        job = Job(job_id, order)
        with self._lock:
            if sum(job.state == "queued" for job in self._jobs.values()) >= self.limits.max_waiting:
                raise TooManyError(f"{self.limits.max_waiting} photos are waiting already; try again in a minute.")
            self._jobs[job_id] = job
        self._waiting.put(job_id)
        return job

    def get(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """The newest first."""
        self._sweep()
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.made_s)

    def files(self, job: Job) -> list[str]:
        if job.state != "done":
            return []
        folder = self._root / job.id / _SCENE
        return [name for name in SCENE_FILES if (folder / name).is_file()]

    def file(self, job_id: str, name: str) -> Path | None:
        """A file of a scene that is done; nothing else on this machine has an address."""
        job = self.get(job_id)
        if job is None or job.state != "done" or name not in SCENE_FILES:
            return None
        path = self._root / job_id / _SCENE / name
        return path if path.is_file() and not path.is_symlink() else None

    def delete(self, job_id: str) -> bool:
        """A job that waits is dropped; one that runs is dropped as soon as it ends."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        if job.state != "running":
            self.discard(job_id)
        return True

    def discard(self, job_id: str) -> None:
        """Remove the folder of an id."""
        assert _ID.fullmatch(job_id), "ids are made here"
        shutil.rmtree(self._root / job_id, ignore_errors=True)

    def close(self) -> None:
        """Drop the waiting jobs and end the running one."""
        with self._lock:
            self._jobs = {job_id: job for job_id, job in self._jobs.items() if job.state != "queued"}
        self._waiting.put(None)
        self._runner.close()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while (job_id := self._next()) is not None:
            if (job := self.get(job_id)) is None:
                continue
            self._change(job_id, state="running", progress=0.02)
            error, folder = None, self._root / job_id / _SCENE
            try:
                self._runner.run(job.order, folder, self._teller(job_id), self.limits.photo_s)
            except Panoptic3dError as refused:
                error = " ".join(
                    str(refused).replace(str(folder), "the scene").split()
                )  # the client must not see paths of this machine
            except (
                Exception
            ) as unexpected:  # the only catch-all: this job fails with a message, and the others continue
                error = f"unexpected {type(unexpected).__name__}: {unexpected}"
            done: State = "done" if error is None else "failed"
            if not self._change(job_id, state=done, progress=1.0, error=error):  # deleted meanwhile
                self.discard(job_id)

    def _next(self) -> str | None:
        """The next job's id; None at the end. Old scenes are deleted while the queue is empty, too."""
        while True:
            try:
                return self._waiting.get(timeout=self.limits.sweep_s)
            except queue.Empty:
                self._sweep()

    def _teller(self, job_id: str) -> Callable[[float], None]:
        def tell(progress: float) -> None:
            self._change(job_id, progress=progress)

        return tell

    def _change(self, job_id: str, **changes: object) -> bool:
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                self._jobs[job_id] = replace(job, **changes)  # pyright: ignore[reportArgumentType]
            return job is not None

    def _sweep(self) -> None:
        """Delete what is too old or too much."""
        now_s = time.time()
        with self._lock:
            ended = sorted(
                (job for job in self._jobs.values() if job.state in ("done", "failed")), key=lambda job: job.made_s
            )
        too_many = max(0, len(ended) - self.limits.max_kept)
        for number, job in enumerate(ended):
            if number < too_many or now_s - job.made_s > self.limits.keep_s:
                self.delete(job.id)
