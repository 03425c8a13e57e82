"""What a measure is: a number, or several, over a set of images, reached by `evaluate --measure NAME`.

Anybody's measure is `package.module:NAME`, an object of this protocol. It needs no other change: records, resuming, processes
and ranks, result files and tables are the evaluation's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from panoptic3d.choices import object_named
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
    return object_named("measure", name, MEASURES, Measure, "`name`, `score` and `merge`")
