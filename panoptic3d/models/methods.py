"""The table of methods, built in or registered by others: config of the network, training, and published weights.

A method of somebody else is named by its place, `package.module:NAME`, or by the name under which an installed package lists
it in the entry-point group `panoptic3d.methods`. NAME is a `MethodCard`, or a `Method` with `network_kind`.
"""

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from panoptic3d.choices import EVERYBODY, imported, refuse_strangers
from panoptic3d.config import Config
from panoptic3d.errors import ConfigError

GROUP = "panoptic3d.methods"


@dataclass(frozen=True)
class MethodCard:
    """Places, so that who predicts with a method does not import what trains it; of others' methods also the things."""

    network: (
        str | type[Config]
    )  # a config with `build()`, such as a `PipelineConfig`: what config.json of a checkpoint holds
    training: str | type | None = None  # a `Method` of panoptic3d/engine/methods/base.py
    published: str | Any = (
        None  # a `Family` of models/checkpoints/family.py: the weights that the authors have published
    )


_MODELS, _TRAINING = "panoptic3d.models", "panoptic3d.engine.methods"
METHODS = {
    "clearview": MethodCard(
        f"{_MODELS}.clearview.config:ClearviewConfig", f"{_TRAINING}.clearview.method:ClearviewMethod"
    ),
    "panorecon": MethodCard(
        f"{_MODELS}.panorecon.config:PanoReconConfig",
        f"{_TRAINING}.panorecon.method:PanoReconMethod",
        f"{_MODELS}.panorecon.family:PANORECON",
    ),
    "uni3d": MethodCard(
        f"{_MODELS}.uni3d.config:Uni3dConfig", f"{_TRAINING}.uni3d.method:Uni3dMethod", f"{_MODELS}.uni3d.family:UNI3D"
    ),
    "buol": MethodCard(
        f"{_MODELS}.buol.config:BuolConfig", f"{_TRAINING}.buol.method:BuolMethod", f"{_MODELS}.buol.family:BUOL"
    ),
    "pooled-queries": MethodCard(f"{_MODELS}.uni3d.config:Uni3dConfig", f"{_TRAINING}.uni3d.pooled:PooledQueryMethod"),
}


def method_card(name: str, trust: tuple[str, ...]) -> MethodCard:
    card = find_card(name, trust)
    if card is None:
        raise ConfigError(
            f"there is no method {name!r}; choose from {', '.join(METHODS)}, or give package.module:NAME."
        )
    return card


def find_card(name: str, trust: tuple[str, ...]) -> MethodCard | None:
    """The card of a method; None for an unknown name. Built-in methods need no trust."""
    if name in METHODS:
        return METHODS[name]
    place = _place_of(name)
    if place is None:
        return None
    refuse_strangers("method", place, trust)
    found = imported("method", place)
    if isinstance(found, MethodCard):
        return found
    if not isinstance(found, type):
        raise ConfigError(f"the method {place!r} is no class and no MethodCard; give one of them.")
    return MethodCard(getattr(found, "network_kind", None) or "", found)


def config_kind_of(card: MethodCard) -> Any:
    if not card.network:
        raise ConfigError(
            f"the method {_name(card.training)} does not say what its network's config is; give its class `network_kind`, a "
            "config with `build()`."
        )
    return _thing(card.network)


def training_of(card: MethodCard) -> Any:
    return _thing(card.training)


def family_of(name: str) -> Any:
    """The `Family` whose published weights a method reads. Who types a name trusts it."""
    family = _thing(method_card(name, (EVERYBODY,)).published)
    if family is None:
        ours = ", ".join(method for method, card in METHODS.items() if card.published)
        raise ConfigError(f"--family {name}: this method has no published weights to read; choose from {ours}.")
    return family


def _place_of(name: str) -> str | None:
    if ":" in name:
        return name
    return next((point.value for point in entry_points(group=GROUP, name=name)), None)


def _thing(place: Any) -> Any:
    return imported("method", place) if isinstance(place, str) else place


def _name(thing: Any) -> str:
    return getattr(thing, "__qualname__", repr(thing))
