"""Meshes as objects of trimesh and of open3d, in the camera's frame and metres."""

from typing import TYPE_CHECKING

import numpy as np

from panoptic3d.optional import require
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_check import check_scene
from panoptic3d.structures.surface_mesh import SurfaceMesh

if TYPE_CHECKING:
    import open3d
    import trimesh


def mesh_to_trimesh(mesh: SurfaceMesh) -> "trimesh.Trimesh":
    """Vertices stay as they are: `process=False` keeps trimesh from merging and reordering them."""
    import trimesh

    arrays = mesh.numpy()
    opaque = np.full((len(arrays["colors"]), 1), 255, np.uint8)
    return trimesh.Trimesh(
        arrays["vertices_m"],
        arrays["faces"],
        vertex_normals=arrays["normals"],
        vertex_colors=np.concatenate((arrays["colors"], opaque), axis=1),
        process=False,
    )


def scene_to_trimesh(scene: PanopticScene) -> "trimesh.Scene":
    """Segments without a face are left out: trimesh cannot hold an empty mesh."""
    import trimesh

    check_scene(scene)
    made = trimesh.Scene()
    for name, mesh in scene.surfaces.meshes.items():
        if len(mesh.faces):
            made.add_geometry(mesh_to_trimesh(mesh), node_name=name, geom_name=name)
    return made


def mesh_to_open3d(mesh: SurfaceMesh) -> "open3d.geometry.TriangleMesh":
    open3d = require("open3d", "a mesh for open3d")
    arrays, vector = mesh.numpy(), open3d.utility.Vector3dVector
    made = open3d.geometry.TriangleMesh(
        vector(arrays["vertices_m"].astype(np.float64)), open3d.utility.Vector3iVector(arrays["faces"].astype(np.int32))
    )
    made.vertex_normals = vector(arrays["normals"].astype(np.float64))
    made.vertex_colors = vector(arrays["colors"] / 255.0)
    return made
