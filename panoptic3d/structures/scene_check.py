"""Validate a scene that was made in Python, before it is written, shown, or fused."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.given import is_finite_number, is_whole_number
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.pixel_map import DepthMap
from panoptic3d.structures.scene import PanopticScene, View
from panoptic3d.structures.taxonomy import Taxonomy

_MAX_INSTANCE = 65_535
_FLOATS = (torch.float16, torch.float32, torch.float64)
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64)


def check_scene(scene: PanopticScene) -> None:
    """Raises `InputError` for the first thing that is wrong."""
    _check_kind("scene", scene, PanopticScene)
    for name, kind in (("camera", Camera), ("grid", VoxelGrid), ("taxonomy", Taxonomy), ("provenance", dict)):
        _check_kind(f"scene's {name}", getattr(scene, name), kind)
    _check_volumes(scene)
    _check_scores("scores", scene.scores, _MAX_INSTANCE)
    _check_scores("class_scores", scene.class_scores, len(scene.taxonomy) - 1)
    _check_pictures(scene)
    try:
        json.dumps(scene.provenance, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the scene's provenance cannot be written as JSON ({error}); keep plain values in it."
        ) from None


def _check_volumes(scene: PanopticScene) -> None:
    shape = tuple(scene.grid.shape)
    _check_tensor("distance_vox", scene.distance_vox, _FLOATS, shape)
    _check_finite("distance_vox", scene.distance_vox)
    for name, highest in (("semantic", len(scene.taxonomy) - 1), ("instance", _MAX_INSTANCE)):
        _check_tensor(name, getattr(scene, name), _WHOLE, shape)
        _check_range(name, getattr(scene, name), highest)
    if scene.known is not None:
        _check_tensor("known", scene.known, (torch.bool,), shape)
    if scene.confidence is not None:
        _check_tensor("confidence", scene.confidence, _FLOATS, shape)
        _check_finite("confidence", scene.confidence)


def _check_pictures(scene: PanopticScene) -> None:
    _check_photo("photo", scene.photo)
    if scene.depth_map is not None:
        _check_kind("scene's depth_map", scene.depth_map, DepthMap)
        _check_tensor("depth_map", scene.depth_map.depth_m, _FLOATS, (None, None))
    _check_kind("scene's views", scene.views, Sequence)
    for view in scene.views:
        _check_kind("scene's view", view, View)
        _check_kind("scene's view's camera", view.camera, Camera)
        _check_tensor("scene_from_camera", view.scene_from_camera, _FLOATS, (4, 4))
        _check_finite("scene_from_camera", view.scene_from_camera)
        _check_photo("view's photo", view.photo)


def _check_kind(what: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise InputError(f"the {what} is a {kind.__name__}, not {type(value).__name__}.")


def _check_photo(name: str, photo: Any) -> None:
    if photo is not None:
        _check_tensor(name, photo, (torch.uint8,), (3, None, None))


def _check_tensor(name: str, value: Any, kinds: Sequence[torch.dtype], shape: Sequence[int | None]) -> None:
    """None in `shape` is any size above 0."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
        raise InputError(f"the scene's {name} is no dense tensor in memory; make it one.")
    agrees = value.ndim == len(shape) and all(
        n == m or (m is None and n) for n, m in zip(value.shape, shape, strict=True)
    )
    if not agrees:
        wanted = tuple("any" if size is None else size for size in shape)
        raise InputError(
            f"the scene's {name} has shape {tuple(value.shape)} and should have {wanted}; they must agree."
        )
    if value.dtype not in kinds:
        named = ", ".join(str(kind).removeprefix("torch.") for kind in kinds)
        raise InputError(f"the scene's {name} holds {value.dtype}; convert it to one of {named}.")
    if value.requires_grad:
        raise InputError(f"the scene's {name} is part of a graph of gradients; give {name}.detach().")


def _check_finite(name: str, values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"the scene's {name} holds numbers that are not finite; mend them.")


def _check_range(name: str, labels: Tensor, highest: int) -> None:
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) <= highest):
        seen = f"{int(labels.min())} to {int(labels.max())}"
        raise InputError(f"the scene's {name} holds ids from {seen}; give 0 to {highest}.")


def _check_scores(name: str, scores: Any, highest: int) -> None:
    if not isinstance(scores, Mapping):
        raise InputError(f"the scene's {name} are a mapping of ids to numbers, not {type(scores).__name__}.")
    for number, score in scores.items():
        if not is_whole_number(number) or number > highest:
            raise InputError(f"the scene's {name} hold the id {number!r}; give whole numbers from 0 to {highest}.")
        if score is not None and not is_finite_number(score):
            raise InputError(
                f"the scene's {name} hold {score!r:.40} for {number}; give a finite number, or leave it out."
            )
