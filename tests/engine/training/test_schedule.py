"""Learning rates on paper."""

import math

import pytest

from panoptic3d.engine.training.config import ScheduleConfig
from panoptic3d.engine.training.schedule import rate_factor


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "poly"])
def test_a_warm_up_climbs_in_a_line_to_the_schedule(name: str) -> None:
    schedule = ScheduleConfig(name=name, warmup_steps=4, warmup_from=0.2)
    assert [rate_factor(schedule, step, 100) for step in range(4)] == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert rate_factor(schedule, 4, 100) == 1.0


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        (ScheduleConfig(name="step", milestones=(3, 6), gamma=0.1), 2, 1.0),
        (ScheduleConfig(name="step", milestones=(3, 6), gamma=0.1), 3, 0.1),
        (ScheduleConfig(name="step", milestones=(3, 6), gamma=0.1), 9, 0.01),
        (ScheduleConfig(name="cosine", final=0.1), 5, 0.55),
        (ScheduleConfig(name="cosine"), 10, 0.0),
        (ScheduleConfig(name="poly", power=2.0), 5, 0.25),
        (ScheduleConfig(name="constant"), 9, 1.0),
    ],
)
def test_values_by_hand(schedule: ScheduleConfig, step: int, factor: float) -> None:
    assert math.isclose(rate_factor(schedule, step, 10), factor, abs_tol=1e-12)
