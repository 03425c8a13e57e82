"""A config field with several kinds of value, chosen by its `name`: a built-in short name, or `package.module:Name`.

    trunk: {name: resnet18, width: 32}
    trunk: {name: my_package.trunks:HouseTrunk, depth: 4}

Code of others is imported only for packages that the reader of the config trusts: `trust` of `validate_config`. Users trust
what their own YAML names; a checkpoint from a stranger is read without trust.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler, SerializeAsAny
from pydantic_core import core_schema

from panoptic3d.config import Config
from panoptic3d.errors import ConfigError

K = TypeVar("K")
EVERYBODY = "*"  # in a list of trusted packages


@dataclass(frozen=True)
class Choice:
    """Metadata of such a field. `known` maps short names to components, whose config class is `config_kind`."""

    what: str  # in messages: "trunk"
    known: Mapping[str, str]
    default: str  # of a mapping without a name

    def config_kinds(self) -> list[type[Config]]:
        """The config classes of the short names, for suggestions."""
        return [component_of(self.what, name, self.known).config_kind for name in self.known]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        marker: Any = SerializeAsAny
        any_kind = marker().__get_pydantic_core_schema__(source, handler)
        return core_schema.with_info_before_validator_function(self._read, any_kind)

    def _read(self, value: Any, info: Any) -> Config:  # a ValidationInfo, which beartype cannot check
        if isinstance(value, Config):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"give a mapping with the name of a {self.what} ({', '.join(self.known)})")
        name = value.get("name", self.default)
        if not isinstance(name, str):
            raise ValueError(f"give the name of a {self.what} as a text ({', '.join(self.known)})")
        context = info.context or {}
        component = component_of(self.what, name, self.known, context.get("trust", ()))
        return component.config_kind.model_validate({**value, "name": name}, context=context)


def component_of(what: str, name: str, known: Mapping[str, str], trust: tuple[str, ...] = ()) -> Any:
    """The class behind a name. Names of `known` need no trust."""
    if name not in known and ":" not in name:
        raise ConfigError(f"there is no {what} {name!r}; choose from {', '.join(known)}, or give package.module:Name.")
    if name not in known:
        refuse_strangers(what, name, trust)
    component = imported(what, known.get(name, name))
    if not isinstance(getattr(component, "config_kind", None), type):
        raise ConfigError(f"the {what} {name!r} has no `config_kind`; give a class that says how it is configured.")
    return component


def refuse_strangers(what: str, name: str, trust: tuple[str, ...]) -> None:
    package = name.partition(":")[0].partition(".")[0]
    if EVERYBODY not in trust and package not in trust:
        raise ConfigError(
            f"the {what} {name!r} is code of the package {package!r}, and nothing was imported; if you know where it "
            f"comes from, allow it with --trust {package}."
        )


def object_named(what: str, name: str, known: Mapping[str, str], kind: type[K], parts: str) -> K:
    """A built-in object by its name, or any object by `package.module:NAME`. `kind` is a protocol, checked at run time."""
    if name not in known and ":" not in name:
        raise ConfigError(f"there is no {what} {name!r}; choose from {', '.join(known)}, or give package.module:NAME.")
    found = imported(what, known.get(name, name))
    if isinstance(found, type) or not isinstance(found, kind):
        raise ConfigError(f"the {what} {name!r} is no object with {parts}.")
    return found


def imported(what: str, place: str) -> Any:
    """`package.module:Name`."""
    module_name, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two of odd names
        raise ConfigError(f"the {what} {place!r} cannot be imported ({error}).") from error
