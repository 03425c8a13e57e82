"""A function of the user's as a teacher: `package.module:function`, called with an RGB picture, uint8 (h, w, 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

from panoptic3d.choices import imported, refuse_strangers
from panoptic3d.errors import InputError
from panoptic3d.structures.given_depth import DepthKind
from panoptic3d.teachers.teacher import DepthTeacher, as_depths

_WHAT = "depth model"


@dataclass(frozen=True, eq=False)
class FunctionTeacher(DepthTeacher):
    name: str
    function: Callable[[np.ndarray], Any]
    kind: DepthKind = "metric"
    along: Literal["axis", "ray"] = "axis"

    def __call__(self, image: UInt8[Tensor, "3 h w"]) -> Float32[np.ndarray, "h2 w2"]:
        return as_depths(self.function(image.permute(1, 2, 0).contiguous().numpy()), self.name)

    def facts(self) -> dict[str, Any]:
        return {"source": self.name, "kind": self.kind, "along": self.along}


def trusted_function(
    name: str, trust: Sequence[str], kind: DepthKind, along: Literal["axis", "ray"]
) -> FunctionTeacher:
    """Nothing is imported from packages that the caller does not trust."""
    refuse_strangers(_WHAT, name, tuple(trust))
    function = imported(_WHAT, name)
    if not callable(function):
        raise InputError(f"the {_WHAT} {name!r} is no function; give one that takes a picture and returns its depth.")
    return FunctionTeacher(name, function, kind, along)
