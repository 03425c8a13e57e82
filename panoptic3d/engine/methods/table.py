"""Read the config of a run, with the settings of the method that it names, and build that method.

Who trains by a YAML trusts the packages that it names. The table itself is models/methods.py, which loads checkpoints, too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import create_model

from panoptic3d.choices import EVERYBODY
from panoptic3d.config import load_config, parse_overrides, read_yaml_tree
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.stages import first_steps
from panoptic3d.errors import ConfigError
from panoptic3d.models.methods import METHODS, method_card, training_of
from panoptic3d.randomness import seed_everything


def load_training_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    tree = read_yaml_tree(path) | parse_overrides(overrides)
    name = tree.get("method")
    if not isinstance(name, str):
        raise ConfigError(f"{path}: `method` is {name!r}; give the name of one ({', '.join(METHODS)}).")
    return load_config(training_config_of(name), path, overrides, trust=(EVERYBODY,))


def training_config_of(method: str) -> type[TrainingConfig]:
    """The run's config with the method's own as the type of `settings`."""
    settings: Any = (method_class(method).settings_kind, ...)
    return create_model("TrainingConfig", __base__=TrainingConfig, settings=settings)


def method_class(name: str) -> type[Method]:
    kind = training_of(method_card(name, (EVERYBODY,)))
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ConfigError(f"the method {name!r} is no subclass of panoptic3d.engine.methods.base.Method.")
    return kind


def build_method(config: TrainingConfig) -> Method:
    """With weights drawn from the run's seed: the same on every rank."""
    seed_everything(config.seed, "weights")
    method = method_class(config.method)(config.settings)
    method.first_steps = first_steps(method, config)
    if config.activation_checkpointing:
        switch: Any = getattr(method, "set_activation_checkpointing", None)
        if switch is None:
            raise ConfigError(f"the method {config.method!r} has no activation checkpointing; leave it off.")
        switch(True)
    return method
