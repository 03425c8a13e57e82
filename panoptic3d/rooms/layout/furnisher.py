"""Makes the models of one room: each from a stream of its own, in the room's style, built-in or from a library."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.furniture import build
from panoptic3d.rooms.render.materials import Style
from panoptic3d.rooms.scene import Model


@runtime_checkable
class ModelSource(Protocol):
    """An imported library, as far as layouts know it."""

    def draw(self, role: str, random: np.random.Generator) -> Model | None:
        """A model of the role, or None where the library has none."""


@dataclass
class Furnisher:
    seed: int
    style: Style
    library: ModelSource | None = None
    library_share: float = 0.8
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, role: str, **sizes_m: float) -> Model:
        random = numpy_generator(self.seed, "model", role, self.counts[role])
        self.counts[role] += 1
        if self.library is not None and not sizes_m and random.random() < self.library_share:
            model = self.library.draw(role, random)
            if model is not None:
                return model
        return build(role, random, self.style, **sizes_m)
