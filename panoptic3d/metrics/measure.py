"""What a measure is: a number, or several, over a set of images, reached by `evaluate --measure NAME`.

Anybody's measure is `package.module:NAME`, an object of this protocol. It needs no other change: records, resuming, processes
and ranks, result files and tables are the evaluation's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from panoptic3d.choices import object_named
from panoptic3d.metrics.measured_sample import MeasuredSample
from panoptic3d.metrics.table import Table

_HERE = "panoptic3d.metrics.measures"
MEASURES = {"ap": f"{_HERE}:AP", "pq-scene": f"{_HERE}:PQ_SCENE", "depth": f"{_HERE}:DEPTH"}


@runtime_checkable
class Measure(Protocol):
    @property
    def name(self) -> str: ...

    def score(self, sample: MeasuredSample) -> Mapping[str, Any] | None:
        """What `merge` needs of one image, as plain data for a line of JSON; None where there is nothing to measure."""
        ...

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The numbers of the set, by the name under which a table shows them. `rows` may be empty."""
        ...


@runtime_checkable
class TabledMeasure(Measure, Protocol):
    """A measure that draws its own table; any other has a row for each number."""

    def table(self, numbers: Mapping[str, Any]) -> Table:
        """`numbers` as `merge` returned them for at least one image, and `num_samples`."""
        ...


def load_measure(name: str) -> Measure:
    return object_named("measure", name, MEASURES, Measure, "`name`, `score` and `merge`")
