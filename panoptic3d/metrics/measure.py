"""What a measure is: a number, or several, over a set of images, reached by `evaluate --measure NAME`.

Anybody's measure is `package.module:NAME`, an object of this protocol. It needs no other change: records, resuming, processes
and ranks, result files and tables are the evaluation's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from panoptic3d.choices import imported
from panoptic3d.errors import ConfigError
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import Truth
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

_HERE = "panoptic3d.metrics.measures"
MEASURES = {"ap": f"{_HERE}:AP", "pq-scene": f"{_HERE}:PQ_SCENE", "depth": f"{_HERE}:DEPTH"}


@dataclass(frozen=True, eq=False)
class MeasuredSample:
    """One image, as predicted and as it is."""

    key: str
    prediction: LabelledVoxels
    truth: Truth
    scores: Mapping[int, float] = field(default_factory=dict)  # by instance id; files of a folder have none
    depth_m: Float32[np.ndarray, "h w"] | None = None  # predicted, at the photo's pixels; files of a folder have none
    true_depth_m: Float32[np.ndarray, "h w"] | None = None
    taxonomy: Taxonomy = FRONT3D_TAXONOMY


@runtime_checkable
class Measure(Protocol):
    name: str

    def score(self, sample: MeasuredSample) -> Mapping[str, Any] | None:
        """What `merge` needs of one image, as plain data for a line of JSON; None where there is nothing to measure."""
        ...

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
        """The numbers of the set, by the name under which a table shows them. `rows` may be empty."""
        ...


def load_measure(name: str) -> Measure:
    """Ours by its name, anybody's by its place. Who types a place trusts it."""
    if name not in MEASURES and ":" not in name:
        raise ConfigError(
            f"there is no measure {name!r}; choose from {', '.join(MEASURES)}, or give package.module:NAME."
        )
    measure = imported("measure", MEASURES.get(name, name))
    if isinstance(measure, type) or not isinstance(measure, Measure):
        raise ConfigError(f"the measure {name!r} is no object with `name`, `score` and `merge`.")
    return measure
