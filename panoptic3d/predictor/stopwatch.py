"""Seconds a stage, for scene.json."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap was `stage`."""
        now_s = time.perf_counter()
        self.seconds[stage] = round(now_s - self._last_s, 4)
        self._last_s = now_s

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """`work`'s answer; its time counts by itself, whatever runs beside it."""
        start_s = time.perf_counter()
        result = work()
        self.seconds[stage] = round(time.perf_counter() - start_s, 4)
        return result
