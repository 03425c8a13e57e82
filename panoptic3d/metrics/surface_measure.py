"""Surface scores under a protocol, as a measure: Chamfer distance, F-scores and what belongs to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from panoptic3d.metrics.measured_sample import MeasuredSample
from panoptic3d.metrics.surface import SurfaceScores, surface_scores
from panoptic3d.metrics.surface_protocol import SurfaceProtocol
from panoptic3d.metrics.table import Table


@dataclass(frozen=True)
class SurfaceMeasure:
    """What `evaluate --surface NAME` computes; a `Measure`, so that it stands in any list of them."""

    protocol: SurfaceProtocol

    @property
    def name(self) -> str:
        return self.protocol.name

    def score(self, sample: MeasuredSample) -> Mapping[str, Any]:
        everything, things = sample.surfaces.predicted_points
        truth = sample.surfaces.true_points
        scores = surface_scores(everything, truth, self.protocol)
        objects = surface_scores(things, truth, self.protocol) if self.protocol.alignment == "none" else None
        return _plain(scores) | {"chamfer_objects": None if objects is None else objects.accuracy}

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return mean_surface(rows)

    def table(self, numbers: Mapping[str, Any]) -> Table:
        return surface_table(self.name, numbers)


def mean_surface(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over images. Distances over the images that have them, with their number; F over all images."""
    if not rows:
        return {}
    keys = ("chamfer", "chamfer_objects", "accuracy", "completeness", "normal_consistency", "sampling_floor")
    means: dict[str, Any] = {"num_samples": len(rows)}
    for key in keys:
        values = [row[key] for row in rows if row[key] is not None]
        means[key] = float(np.mean(values)) if values else None
    means["num_without_surface"] = sum(row["chamfer"] is None for row in rows)
    means["alignment"] = next((row["alignment"] for row in rows if row["chamfer"] is not None), "none")
    for place, at in enumerate(rows[0]["at"]):
        scores = {
            key: float(np.mean([row["at"][place][key] for row in rows])) for key in ("precision", "recall", "f_score")
        }
        means.setdefault("at", []).append({"threshold": at["threshold"], **scores})
    return means


def surface_table(name: str, scores: Mapping[str, Any]) -> Table:
    """`scores` as `mean_surface` returns them for at least one image."""
    labels = {
        "chamfer": "Chamfer",
        "chamfer_objects": "accuracy of the objects (CD-S)",
        "accuracy": "accuracy",
        "completeness": "completeness",
        "normal_consistency": "normal consistency",
        "sampling_floor": "Chamfer of a perfect surface",
    }
    rows = [[label, f"{scores[key]:.4f}"] for key, label in labels.items() if scores[key] is not None]
    for at in scores.get("at", ()):
        rows.append([f"F at {at['threshold']:g}", f"{100 * at['f_score']:.2f}"])
    notes = [f"mean over {scores['num_samples']} images; alignment: {scores['alignment']}"]
    if scores["num_without_surface"]:
        notes.append(f"{scores['num_without_surface']} without a surface: F is 0, distances are left out")
    return Table(f"{name}: surfaces", ("", "value"), rows, notes)


def _plain(scores: SurfaceScores) -> dict[str, Any]:
    names = ("chamfer", "accuracy", "completeness", "normal_consistency", "sampling_floor", "alignment")
    return {name: getattr(scores, name) for name in names} | {"at": [vars(at) for at in scores.at]}
