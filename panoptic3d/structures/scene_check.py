"""Validate a scene before it is written; readers refuse anything else."""

import json
import math

import torch
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.structures.scene import PanopticScene

_MAX_INSTANCE = 65_535


def check_scene(scene: PanopticScene) -> None:
    """Raises `InputError` for the first thing that is wrong with a scene that somebody made in Python."""
    shape = tuple(scene.grid.shape)
    for name in ("distance_vox", "semantic", "instance"):
        volume = getattr(scene, name)
        if not isinstance(volume, Tensor) or volume.layout != torch.strided or volume.is_meta:
            raise InputError(f"the scene's {name} is no dense tensor in memory; make it one.")
        if tuple(volume.shape) != shape:
            raise InputError(
                f"the scene's {name} has shape {tuple(volume.shape)} and its grid {shape}; they must agree."
            )
    if not bool(torch.isfinite(scene.distance_vox).all()):
        raise InputError("the scene's distance_vox holds numbers that are not finite; mend them.")
    _check_range("semantic", scene.semantic, len(scene.taxonomy) - 1)
    _check_range("instance", scene.instance, _MAX_INSTANCE)
    scores = [*scene.scores.values(), *scene.class_scores.values()]
    if not all(score is None or math.isfinite(score) for score in scores):
        raise InputError("the scene's scores hold a number that is not finite; leave it out.")
    try:
        json.dumps(scene.provenance, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the scene's provenance cannot be written as JSON ({error}); keep plain values in it."
        ) from None


def _check_range(name: str, labels: Tensor, highest: int) -> None:
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) <= highest):
        seen = f"{int(labels.min())} to {int(labels.max())}"
        raise InputError(f"the scene's {name} holds ids from {seen}; give 0 to {highest}.")
