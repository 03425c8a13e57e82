"""The learning rate as a pure function of the step, so that nothing about it needs saving."""

import math

from panoptic3d.engine.training.config import ScheduleConfig


def rate_factor(schedule: ScheduleConfig, step: int, num_steps: int) -> float:
    """The factor of the base learning rate at a stage's step, which counts from 0."""
    if step < schedule.warmup_steps:
        return schedule.warmup_from + (1 - schedule.warmup_from) * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, num_steps - schedule.warmup_steps)
    match schedule.name:
        case "constant":
            return 1.0
        case "step":
            return schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones)
        case "cosine":
            return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * done)) / 2
        case "poly":
            return schedule.final + (1 - schedule.final) * (1 - done) ** schedule.power
