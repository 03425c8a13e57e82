"""A teacher is a source of depth for a photo: a network with a card, or a function of the user."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.structures.given_depth import DepthKind


class DepthTeacher(ABC):
    """`kind` and `along` say what its numbers are."""

    kind: DepthKind
    along: Literal["axis", "ray"]

    @abstractmethod
    def __call__(self, image: UInt8[Tensor, "3 h w"]) -> Float32[np.ndarray, "h2 w2"]:
        """Depth of the whole image, at any size; NaN where it is unknown."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """For scene.json and for results: all that decides over what it says."""


def as_depths(said: object, name: str, unit_m: float = 1.0) -> Float32[np.ndarray, "h2 w2"]:
    """What a teacher said as a map, without axes of one image or one channel."""
    values = np.asarray(said)
    flat = values.reshape([n for n in values.shape if n != 1])
    if flat.ndim != 2 or not np.issubdtype(flat.dtype, np.floating):
        shape = "x".join(map(str, values.shape))
        raise InputError(f"{name} says {values.dtype} of shape {shape}, which is no map of depths.")
    return np.where(np.isfinite(flat), flat * unit_m, np.nan).astype(np.float32)
