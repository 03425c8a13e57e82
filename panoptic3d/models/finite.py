"""Check that outputs are finite. A scene from NaN would be empty, and nothing later would notice."""

from typing import ClassVar

import torch
from torch import Tensor

from panoptic3d.errors import Panoptic3dError
from panoptic3d.structures.prediction import LevelsT, Prediction

_NUMBERS = ("distance_vox",)  # of a level, which must be finite; logits may be infinite where something is impossible


class NotFiniteError(Panoptic3dError):
    """The network's output has NaN or infinite values. Evaluation counts it like a bad file."""

    reason: ClassVar[str] = "not_finite"


def checked(prediction: Prediction[LevelsT]) -> Prediction[LevelsT]:
    """The same, or an error for the first part that is not a number, or infinite where a length is meant."""
    judged = [("depth", prediction.depth_m, ~torch.isfinite(prediction.depth_m))]
    for number, level in enumerate(prediction.levels):
        for name, value in vars(level).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                is_bad = ~torch.isfinite(value) if name in _NUMBERS else torch.isnan(value)
                judged.append((f"{name} of level {number}", value, is_bad))
    if bool(torch.stack([is_bad.any() for *_, is_bad in judged]).any()):  # a device is waited for once
        raise NotFiniteError(next(_complaint(*part) for part in judged if bool(part[2].any())))
    return prediction


def _complaint(name: str, values: Tensor, is_bad: Tensor) -> str:
    return (
        f"the network's {name} is no finite number at {int(is_bad.sum()):,} of {values.numel():,} places; "
        "its weights do not fit this photo, give another checkpoint."
    )
