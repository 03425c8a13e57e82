"""Scores: PRQ in every dialect, geometry, depth, voxels, scenes and instances. Names load their home on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panoptic3d.metrics.average_precision import average_precision
    from panoptic3d.metrics.depth import depth_scores
    from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
    from panoptic3d.metrics.panoptic_quality import SampleScore, Truth, score_sample
    from panoptic3d.metrics.protocol import Protocol, load_protocol
    from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
    from panoptic3d.metrics.scene_quality import scene_quality
    from panoptic3d.metrics.surface import surface_scores
    from panoptic3d.metrics.surface_protocol import load_surface_protocol
    from panoptic3d.metrics.tally import Tally, scores_of
    from panoptic3d.metrics.voxel_iou import voxel_confusion

_HOMES = {
    "LabelledVoxels": "panoptic3d.metrics.labelled",
    "PanopticReconstructionQuality": "panoptic3d.metrics.prq_metric",
    "PixelLabels": "panoptic3d.metrics.labelled",
    "Protocol": "panoptic3d.metrics.protocol",
    "SampleScore": "panoptic3d.metrics.panoptic_quality",
    "Tally": "panoptic3d.metrics.tally",
    "Truth": "panoptic3d.metrics.panoptic_quality",
    "average_precision": "panoptic3d.metrics.average_precision",
    "depth_scores": "panoptic3d.metrics.depth",
    "load_protocol": "panoptic3d.metrics.protocol",
    "load_surface_protocol": "panoptic3d.metrics.surface_protocol",
    "scene_quality": "panoptic3d.metrics.scene_quality",
    "score_sample": "panoptic3d.metrics.panoptic_quality",
    "scores_of": "panoptic3d.metrics.tally",
    "surface_scores": "panoptic3d.metrics.surface",
    "voxel_confusion": "panoptic3d.metrics.voxel_iou",
}

__all__ = [
    "LabelledVoxels",
    "PanopticReconstructionQuality",
    "PixelLabels",
    "Protocol",
    "SampleScore",
    "Tally",
    "Truth",
    "average_precision",
    "depth_scores",
    "load_protocol",
    "load_surface_protocol",
    "scene_quality",
    "score_sample",
    "scores_of",
    "surface_scores",
    "voxel_confusion",
]


if not TYPE_CHECKING:  # a checker would take this for the type of any name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'panoptic3d.metrics' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
