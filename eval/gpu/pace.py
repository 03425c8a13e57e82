"""How many steps a training can make in the time that it has, stage by stage, from how fast it went so far."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from panoptic3d.engine.training.config import StageConfig
from panoptic3d.engine.training.report import Progress


@dataclass
class Pace:
    """Over all calls: the steps that each stage has made, those of them that were timed and their seconds, and what a round
    takes to its first step.
    """

    steps: dict[str, int] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    start_s: float = 0.0

    @property
    def num_steps(self) -> int:
        return sum(self.steps.values())

    def planned(self, stages: tuple[StageConfig, ...], seconds_left: float) -> tuple[StageConfig, ...]:
        """The stages with as many steps as their share of all the time allows. A share is that of the configured steps.

        A stage that is over keeps the steps that it made, so that the places of the others stay. One whose pace is not known
        keeps what is configured.
        """
        left_s = max(0.0, seconds_left - self.start_s)
        whole_s, configured = sum(self.seconds.values()) + left_s, sum(stage.steps for stage in stages)
        current = max((place for place, stage in enumerate(stages) if self.steps.get(stage.name)), default=0)
        made = []
        for place, stage in enumerate(stages):
            done, spent_s = self.steps.get(stage.name, 0), self.seconds.get(stage.name, 0.0)
            steps = done if place < current else stage.steps
            if place == current and spent_s > 0:
                is_last = place + 1 == len(stages)
                due_s = left_s if is_last else min(left_s, whole_s * stage.steps / configured - spent_s)
                steps = done + int(max(0.0, due_s) * self.timed[stage.name] / spent_s)
            made.append(stage.model_copy(update={"steps": max(1, steps)}))
        return tuple(made)


class StepWatch:
    """Notes each step of a round in the pace of its stage. The first one is not timed: what comes before it is no step."""

    def __init__(self, pace: Pace, stages: tuple[StageConfig, ...]) -> None:
        self.pace, self._time_s, self._is_first = pace, time.monotonic(), True
        self._ends: Mapping[str, int] = _ends(stages)

    def __call__(self, progress: Progress) -> None:
        pace, now_s = self.pace, time.monotonic()
        name = next(name for name, end in self._ends.items() if progress.step <= end)
        if self._is_first:
            pace.start_s = now_s - self._time_s
        else:
            pace.timed[name] = pace.timed.get(name, 0) + 1
            pace.seconds[name] = pace.seconds.get(name, 0.0) + now_s - self._time_s
        pace.steps[name] = pace.steps.get(name, 0) + 1
        self._time_s, self._is_first = now_s, False


def _ends(stages: tuple[StageConfig, ...]) -> dict[str, int]:
    ends, total = {}, 0
    for stage in stages:
        total += stage.steps
        ends[stage.name] = total
    return ends
