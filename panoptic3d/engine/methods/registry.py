"""From the name of a method to its config and its builder: what `method:` of a training config is read with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from panoptic3d.config import Config, validate_config
from panoptic3d.engine.method import Method
from panoptic3d.engine.methods.panorecon import PanoReconTraining
from panoptic3d.engine.methods.panorecon_config import PanoReconTrainingConfig
from panoptic3d.errors import ConfigError


@dataclass(frozen=True)
class MethodKind:
    """`build` is given a config of kind `config` and the run's seed; weights are drawn from torch's global stream."""

    config: type[Config]
    build: Callable[[Any, int], Method]


METHODS: Mapping[str, MethodKind] = {"panorecon": MethodKind(PanoReconTrainingConfig, PanoReconTraining)}


def method_config(tree: Mapping[str, Any], origin: str = "the config") -> Config:
    """The config of the method that `name` names, every key checked."""
    name = tree.get("name")
    if name not in METHODS:
        raise ConfigError(f"{origin} names the method {name!r}; this version knows {', '.join(METHODS)}.")
    return validate_config(METHODS[name].config, tree, origin)


def build_method(config: Config, seed: int) -> Method:
    """In training mode, on the CPU."""
    kind = next(kind for kind in METHODS.values() if isinstance(config, kind.config))
    return kind.build(config, seed).train()
