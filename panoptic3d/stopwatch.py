"""Seconds a stage, for what a result says of its own making."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """By wall time; by CPU time with `time.process_time`."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now, self._seconds = now, dict[str, float]()
        self._last_s = now()

    @property
    def seconds(self) -> dict[str, float]:
        return {stage: round(seconds, 4) for stage, seconds in self._seconds.items()}

    def lap(self, stage: str) -> None:
        """What passed since the last lap was `stage`."""
        now_s = self._now()
        self._add(stage, now_s - self._last_s)
        self._last_s = now_s

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """`work`'s answer; its time counts by itself, whatever runs beside it."""
        start_s = self._now()
        result = work()
        self._add(stage, self._now() - start_s)
        return result

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
