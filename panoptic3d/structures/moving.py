"""Moving a frozen noun between devices: every tensor in it goes, everything else stays."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def map_tensors(item: T, function: Callable[[Tensor], Tensor]) -> T:
    """The same tree of dataclasses, tuples, lists and mappings with `function` applied to each tensor."""
    return _map(item, function)


def moved(item: T, device: torch.device | str, non_blocking: bool = False) -> T:
    return map_tensors(item, lambda tensor: tensor.to(device, non_blocking=non_blocking))


def _map(item: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(item, Tensor):
        return function(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        changed = {f.name: _map(getattr(item, f.name), function) for f in dataclasses.fields(item)}
        return dataclasses.replace(item, **changed)
    if isinstance(item, Mapping):
        return {key: _map(value, function) for key, value in item.items()}
    if isinstance(item, (tuple, list)):
        return type(item)(_map(value, function) for value in item)
    return item
