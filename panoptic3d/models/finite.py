"""Check that outputs are finite. A scene from NaN would be empty, and nothing later would notice."""

from typing import ClassVar

import torch
from torch import Tensor

from panoptic3d.errors import Panoptic3dError
from panoptic3d.structures.prediction import LevelsT, Prediction

_NUMBERS = ("distance_vox",)  # of a level, which must be finite; logits may be infinite where something is impossible


class NotFiniteError(Panoptic3dError):
    """The network's answer is no number. Evaluation counts it as it counts a bad file."""

    reason: ClassVar[str] = "not_finite"


def checked(prediction: Prediction[LevelsT]) -> Prediction[LevelsT]:
    """The same, or an error for the first part that is not a number, or infinite where a length is meant."""
    _check("depth", prediction.depth_m, may_be_infinite=False)
    for number, level in enumerate(prediction.levels):
        for name, value in vars(level).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                _check(f"{name} of level {number}", value, may_be_infinite=name not in _NUMBERS)
    return prediction


def _check(name: str, values: Tensor, may_be_infinite: bool) -> None:
    is_bad = torch.isnan(values) if may_be_infinite else ~torch.isfinite(values)
    if bool(is_bad.any()):
        raise NotFiniteError(
            f"the network's {name} is no finite number at {int(is_bad.sum()):,} of {values.numel():,} places; "
            "its weights do not fit this photo, give another checkpoint."
        )
