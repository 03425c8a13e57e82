"""panoptic3d: from one photo of a room to its whole scene in 3D.

Importing this package imports nothing heavy, not even torch; the names of its public surface load their home on first
use.
"""

import importlib
from typing import Any

from panoptic3d.version import __version__

_HOMES = {
    "Camera": "panoptic3d.structures.camera",
    "PanopticScene": "panoptic3d.structures.scene",
    "Prediction": "panoptic3d.structures.prediction",
    "Predictor": "panoptic3d.predictor.predictor",
    "Sample": "panoptic3d.structures.sample",
    "VoxelGrid": "panoptic3d.structures.grid",
    "predict": "panoptic3d.predictor.predictor",
    "save_mesh": "panoptic3d.predictor.scene_folder",
    "save_scene": "panoptic3d.predictor.scene_folder",
}

__all__ = [
    "Camera",
    "PanopticScene",
    "Prediction",
    "Predictor",
    "Sample",
    "VoxelGrid",
    "__version__",
    "predict",
    "save_mesh",
    "save_scene",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'panoptic3d' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
