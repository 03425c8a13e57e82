"""Configs: frozen, typed, every unknown key refused with its path and a suggestion, and a fingerprint of what resulted.

A component owns its config, a subclass of `Config`; a run's config is a tree of those. `load_config` reads YAML, follows
`extends:` (a path beside the file, or the name of a packaged config; merged underneath), lays `--key.path value` overrides
on top and validates once.
"""

import difflib
import hashlib
import json
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from panoptic3d.errors import ConfigError
from panoptic3d.files import read_file
from panoptic3d.packaged import packaged_config

C = TypeVar("C", bound="Config")

_EXTENDS = "extends"


class Config(BaseModel):
    """Base of every component's config: immutable, and nothing in it is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def load_config(
    kind: type[C],
    path: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    *,
    base: Mapping | None = None,
    trust: tuple[str, ...] = (),
) -> C:
    """Read, override and validate a config of the given kind.

    `overrides` are command-line words: `--a.b 3`, `--a.b=3`, or `--flag` alone for true. `trust` names the packages whose
    code the config may choose (panoptic3d/choices.py).
    """
    tree: dict[str, Any] = dict(base or {})
    if path is not None:
        tree = merged(tree, read_yaml_tree(path))
    tree = merged(tree, parse_overrides(overrides))
    return validate_config(kind, tree, str(path) if path is not None else "the command line", trust)


def validate_config(kind: type[C], tree: Mapping[str, Any], origin: str, trust: tuple[str, ...] = ()) -> C:
    try:
        return kind.model_validate(dict(tree), context={"trust": trust})
    except ValidationError as error:
        raise ConfigError(_explain(kind, error, origin)) from None


def fingerprint(config: Config) -> str:
    """Sixteen hex digits that change if and only if a resolved value does (order and formatting of the YAML do not count)."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:16]


def canonical_json(config: Config) -> str:
    return json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def dump_yaml(config: Config) -> str:
    """YAML from which `load_config` rebuilds an equal config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def read_yaml_tree(path: str | os.PathLike[str], _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML mapping with its `extends:` chain merged underneath."""
    path = Path(path)
    if path.resolve() in _seen:
        raise ConfigError(f"{path} extends itself through {' -> '.join(p.name for p in _seen)}; break the circle.")
    try:
        text = read_file(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config {path} cannot be read ({error}); give the path of a YAML file.") from None
    tree = parse_yaml(text, origin=str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds {_kind_of(tree)} where a mapping of keys to values was expected.")
    parent = tree.pop(_EXTENDS, None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: `extends` is {_kind_of(parent)}; give the path of another YAML file.")
    return merged(read_yaml_tree(_parent_of(path, parent), (*_seen, path.resolve())), tree)


def _parent_of(path: Path, name: str) -> Path:
    beside, packaged = path.parent / name, packaged_config(name)
    if beside.is_file():
        return beside
    if packaged is None:
        raise ConfigError(
            f"{path} extends {name!r}, which is neither a file beside it nor a packaged config such as clearview/tiny."
        )
    return packaged


def parse_yaml(text: str, origin: str) -> Any:
    """Safe YAML in which a key given twice is an error instead of the silent victory of the last one."""
    try:
        return _StrictLoader(text).get_single_data()
    except Exception as error:  # PyYAML raises many types of errors for odd dates, numbers, and nesting
        raise ConfigError(f"{origin} is no valid YAML: {' '.join(str(error).split())}.") from None


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`["--a.b", "3", "--c=[1, 2]", "--flag"]` -> `{"a": {"b": 3}, "c": [1, 2], "flag": True}`."""
    tree: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--") or len(word) == 2:
            raise ConfigError(f"cannot read the override {word!r}; write --key.path value.")
        key, has_value, text = word[2:].partition("=")
        if not has_value:
            is_flag = not queue or (queue[0].startswith("--") and len(queue[0]) > 2)
            text = "true" if is_flag else queue.pop(0)
        value = parse_yaml(text, origin=f"the value of --{key}")
        _set_path(tree, key.replace("-", "_").split("."), value, key)
    return tree


def _set_path(tree: dict[str, Any], parts: Sequence[str], value: Any, key: str) -> None:
    if not all(parts):
        raise ConfigError(f"--{key} has an empty part in its path; write --key.path value.")
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--{key} reaches into {part!r}, which another override has set to a value.")
    if parts[-1] in tree:
        raise ConfigError(f"--{key} is given twice; keep one of the two.")
    tree[parts[-1]] = value


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with `extends: null` replaces the one underneath, as another filling of a slot needs to."""
    if _EXTENDS in over and over[_EXTENDS] is None:
        return {key: value for key, value in over.items() if key != _EXTENDS}
    together = dict(under)
    for key, value in over.items():
        below = together.get(key, {})
        together[key] = merged(below or {}, value) if _is_tree(value) and _is_tree(below) else value
    return together


def _is_tree(value: Any) -> bool:
    return isinstance(value, Mapping)


def _explain(kind: type[BaseModel], error: ValidationError, origin: str) -> str:
    problems = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key `{where}`{_suggestion(kind, item['loc'])}")
        elif item["type"] == "missing":
            problems.append(f"`{where}` is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            seen = "" if isinstance(item["input"], Mapping | BaseModel) else f" is {item['input']!r}"
            problems.append(f"`{where}`{seen}: {message[0].lower()}{message[1:]}")
    return f"{origin}: {'; '.join(problems)}."


def _suggestion(kind: type[BaseModel], location: Sequence[str | int]) -> str:
    known = _keys_at(kind, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        path = ".".join(str(part) for part in (*location[:-1], close[0]))
        return f" (did you mean `{path}`?)"
    return f" (known here: {', '.join(sorted(known))})" if known else ""


def _keys_at(kind: Any, location: Iterable[str | int]) -> list[str]:
    kinds = list(_models_in(kind))
    for part in location:
        fields = [k.model_fields[part] for k in kinds if isinstance(part, str) and part in k.model_fields]
        # A list index or a union's tag names no field: stay with the same models.
        kinds = [model for field in fields for model in _models_of(field)] or kinds
    return sorted({name for k in kinds for name in k.model_fields})


def _models_of(field: FieldInfo) -> Iterable[type[BaseModel]]:
    for choice in field.metadata:
        if hasattr(choice, "config_kinds"):  # panoptic3d/choices.py: one of several kinds
            yield from choice.config_kinds()
    yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, list, tuple, dict) or get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _kind_of(value: Any) -> str:
    return {type(None): "nothing", list: "a list", str: "a text", bool: "a truth value"}.get(type(value), "a number")


class _StrictLoader(yaml.SafeLoader):
    """Safe, and strict about repeated keys (see below)."""


def _construct_unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict:
    loader.flatten_mapping(node)
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError("", None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique_mapping)
