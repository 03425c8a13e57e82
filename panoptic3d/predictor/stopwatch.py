"""Seconds a stage, for scene.json."""

import time


class Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap was `stage`."""
        now_s = time.perf_counter()
        self.seconds[stage] = round(now_s - self._last_s, 4)
        self._last_s = now_s
