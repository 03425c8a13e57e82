"""Stages: which part of a run a step lies in, and what of the method learns there."""

from dataclasses import dataclass
from itertools import accumulate

from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.training.config import OptimizerConfig, ScheduleConfig, StageConfig, TrainingConfig
from panoptic3d.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """A stage with its place in the run and everything that it did not say itself."""

    config: StageConfig
    start: int  # its first step in the run
    end: int
    optimizer: OptimizerConfig
    schedule: ScheduleConfig

    @property
    def name(self) -> str:
        return self.config.name


def stages_of(config: TrainingConfig) -> tuple[Stage, ...]:
    ends = list(accumulate(stage.steps for stage in config.stages))
    return tuple(
        Stage(stage, end - stage.steps, end, stage.optimizer or config.optimizer, stage.schedule or config.schedule)
        for stage, end in zip(config.stages, ends, strict=True)
    )


def first_steps(method: Method, config: TrainingConfig) -> dict[str, int]:
    """The step of the run from which each part learns; parts that no stage trains are left out."""
    begins: dict[str, int] = {}
    for stage in reversed(stages_of(config)):
        begins |= dict.fromkeys(stage.config.train or method.parts(), stage.start)
    return begins


def check_parts(method: Method, stages: tuple[Stage, ...]) -> None:
    """Before the first step, not when the stage begins."""
    known = method.parts()
    for stage in stages:
        for name in (*stage.config.train, *stage.optimizer.rate_of_part):
            if name not in known:
                raise ConfigError(f"stage {stage.name!r} names the part {name!r}; the method has {', '.join(known)}.")


def learnable_names(method: Method) -> frozenset[str]:
    """Parameters that the method itself does not hold fixed for ever: ask before the first stage."""
    return frozenset(name for name, parameter in method.named_parameters() if parameter.requires_grad)


def set_trained_parts(method: Method, names: tuple[str, ...], learnable: frozenset[str]) -> None:
    """Train these parts (all without names), freeze the others: no gradient, and norms and dropout as in evaluation."""
    parts = method.parts()
    trained = [module for name in names or parts for module in parts[name]]
    method.train()
    for module in (module for modules in parts.values() for module in modules):
        module.eval()
        module.requires_grad_(False)
    for module in trained:  # last, so that a module in two parts learns if one of them does
        module.train()
        module.requires_grad_(True)
    for name, parameter in method.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in learnable)
    if not any(parameter.requires_grad for parameter in method.parameters()):
        raise ConfigError(f"the parts {', '.join(names or parts)} have no parameter to train.")
