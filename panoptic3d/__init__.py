"""panoptic3d: from one photo of a room to its whole scene in 3D.

Importing this package imports nothing heavy, not even torch; the names of its public surface load their home on first
use. Type checkers and editors see their real types.
"""

import importlib
from typing import TYPE_CHECKING, Any

from panoptic3d.version import __version__

if TYPE_CHECKING:
    from panoptic3d.export.vendor_meshes import mesh_to_open3d, mesh_to_trimesh, scene_to_trimesh
    from panoptic3d.predictor.fusion.fuse import fuse
    from panoptic3d.predictor.predictor import Predictor, predict
    from panoptic3d.predictor.saved_scene import load_scene
    from panoptic3d.predictor.scene_folder import save_mesh, save_scene
    from panoptic3d.predictor.scene_show import scene_html, show_scene
    from panoptic3d.predictor.scene_surfaces import scene_surfaces
    from panoptic3d.structures.camera import Camera
    from panoptic3d.structures.grid import VoxelGrid
    from panoptic3d.structures.prediction import Prediction
    from panoptic3d.structures.sample import Sample
    from panoptic3d.structures.scene import PanopticScene, Segment
    from panoptic3d.structures.surface_mesh import SurfaceMesh

_HOMES = {
    "Camera": "panoptic3d.structures.camera",
    "PanopticScene": "panoptic3d.structures.scene",
    "Prediction": "panoptic3d.structures.prediction",
    "Predictor": "panoptic3d.predictor.predictor",
    "Sample": "panoptic3d.structures.sample",
    "Segment": "panoptic3d.structures.scene",
    "SurfaceMesh": "panoptic3d.structures.surface_mesh",
    "VoxelGrid": "panoptic3d.structures.grid",
    "fuse": "panoptic3d.predictor.fusion.fuse",
    "load_scene": "panoptic3d.predictor.saved_scene",
    "predict": "panoptic3d.predictor.predictor",
    "save_mesh": "panoptic3d.predictor.scene_folder",
    "save_scene": "panoptic3d.predictor.scene_folder",
    # Behind methods of the nouns, which lie floors below them.
    "mesh_to_open3d": "panoptic3d.export.vendor_meshes",
    "mesh_to_trimesh": "panoptic3d.export.vendor_meshes",
    "scene_html": "panoptic3d.predictor.scene_show",
    "scene_surfaces": "panoptic3d.predictor.scene_surfaces",
    "scene_to_trimesh": "panoptic3d.export.vendor_meshes",
    "show_scene": "panoptic3d.predictor.scene_show",
}

__all__ = [
    "Camera",
    "PanopticScene",
    "Prediction",
    "Predictor",
    "Sample",
    "Segment",
    "SurfaceMesh",
    "VoxelGrid",
    "__version__",
    "fuse",
    "load_scene",
    "predict",
    "save_mesh",
    "save_scene",
]

if not TYPE_CHECKING:  # a checker would take this for the type of any name, misspelt ones too

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'panoptic3d' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
