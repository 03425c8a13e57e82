"""Inputs and outputs of the parts in slots, read from their signatures, and whether two neighbours fit."""

import types
import typing
from collections.abc import Mapping
from typing import Any

from panoptic3d.backbones.pyramid import Pyramid

# Which output of a slot goes to which parameter of which slot.
_WAYS = (
    ("trunk", "panoptic", "pyramid"),
    ("trunk", "rays", "pyramid"),
    ("panoptic", "rays", "panoptic"),
    ("panoptic", "lift", "panoptic"),
    ("rays", "lift", "rays"),
    ("lift", "voxel_net", "lifted"),
)


def misfit_of_types(components: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    """The first two neighbours that do not fit, in one sentence without its end; None where all do."""
    for giver, taker, parameter in _WAYS:
        gives, takes = given_by(components[giver]), taken_by(components[taker], parameter)
        if giver == "trunk" and not fits(gives, Pyramid):
            return f"trunk {names[giver]!r} gives {name_of(gives)} and no Pyramid"
        if not fits(gives, takes):
            return _sentence(giver, names[giver], gives, taker, names[taker], takes)
    gives = given_by(components["voxel_net"])
    (takes,) = typing.get_args(taken_by(components["decode"], "prediction")) or (Any,)
    if not fits(gives, takes):
        return _sentence("voxel_net", names["voxel_net"], gives, "decode", names["decode"], takes)
    return None


def taken_by(component: Any, parameter: str) -> Any:
    return _hints(component).get(parameter, Any)


def given_by(component: Any) -> Any:
    return _hints(component).get("return", Any)


def fits(given: Any, wanted: Any) -> bool:
    """Whether a value of one annotation is one of the other. Parameters of a generic are covariant here: nouns are frozen."""
    if Any in (given, wanted):
        return True
    if _is_union(given):
        return all(fits(kind, wanted) for kind in typing.get_args(given))
    if _is_union(wanted):
        return any(fits(given, kind) for kind in typing.get_args(wanted))
    given_kind, wanted_kind = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not issubclass(given_kind, wanted_kind):
        return False
    arguments = typing.get_args(wanted)
    return not arguments or all(
        fits(own, other) for own, other in zip(_arguments(given, wanted_kind), arguments, strict=True)
    )


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _arguments(given: Any, base: type) -> tuple[Any, ...]:
    """Those with which an annotation fills the parameters of a generic base; what it leaves open is Any."""
    if (typing.get_origin(given) or given) is base:
        return typing.get_args(given) or (Any,) * len(getattr(base, "__parameters__", ()))
    for parent in getattr(given, "__orig_bases__", ()):
        if issubclass(typing.get_origin(parent) or parent, base):
            return _arguments(parent, base)
    return (Any,) * len(getattr(base, "__parameters__", ()))


def _hints(component: Any) -> dict[str, Any]:
    return typing.get_type_hints(component.forward if hasattr(component, "forward") else component.__call__)


def _sentence(giver: str, giver_name: str, gives: Any, taker: str, taker_name: str, takes: Any) -> str:
    return (
        f"{giver} {giver_name!r} gives {name_of(gives)} where {taker} {taker_name!r} takes {name_of(takes)}; choose two "
        "that fit"
    )


def name_of(annotation: Any) -> str:
    if _is_union(annotation):
        return " or ".join(name_of(kind) for kind in typing.get_args(annotation))
    arguments = ", ".join(name_of(argument) for argument in typing.get_args(annotation))
    plain = typing.get_origin(annotation) or annotation
    name = getattr(plain, "__name__", str(plain))
    return f"{name}[{arguments}]" if arguments else name
