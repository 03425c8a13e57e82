"""The surface of one segment as triangles, and the surfaces of a whole scene."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

import panoptic3d  # whose functions do the work: they load their home, floors above, on first use

if TYPE_CHECKING:
    import open3d
    import trimesh

Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Camera frame (x right, y down, z forward), metres. Faces turn anticlockwise seen from the free side."""

    vertices_m: Float32[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]
    normals: Float32[Tensor, "v 3"]
    colors: UInt8[Tensor, "v 3"]  # sRGB
    is_seen: Bool[Tensor, " v"]  # True where the photo shows the surface; the rest is predicted

    def numpy(self) -> dict[str, np.ndarray]:
        """Each field as an array.

        Examples:
            >>> import torch
            >>> corners = torch.eye(3)
            >>> mesh = SurfaceMesh(corners, torch.tensor([[0, 1, 2]]), corners, corners.byte(), corners[0] > 0)
            >>> mesh.numpy()["faces"]
            array([[0, 1, 2]])
        """
        names = ("vertices_m", "faces", "normals", "colors", "is_seen")
        return {name: getattr(self, name).numpy() for name in names}

    def to_trimesh(self) -> "trimesh.Trimesh":
        """In the same frame, with vertex colours."""
        return panoptic3d.mesh_to_trimesh(self)

    def to_open3d(self) -> "open3d.geometry.TriangleMesh":
        """In the same frame, with vertex colours. Needs open3d."""
        return panoptic3d.mesh_to_open3d(self)


@dataclass(frozen=True, eq=False)
class SceneSurfaces:
    """By the name of the segment. A segment without a single face has an empty mesh and no box."""

    meshes: Mapping[str, SurfaceMesh]
    boxes_m: Mapping[str, tuple[Point, Point] | None]  # lower and upper corner along the camera's axes
