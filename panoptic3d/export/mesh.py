"""Surfaces of a distance field as triangle meshes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from panoptic3d.geometry.frustum import bounding_box


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh in the frame of the function that made it. Faces are anticlockwise seen from outside of the iso surface."""

    vertices: Float32[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]


def iso_surface(
    distance_vox: Float[Tensor, "x y z"], iso_vox: float, mask: Bool[Tensor, "x y z"] | None = None
) -> Mesh:
    """The surface where the field crosses `iso_vox`, in grid index units; empty where it never does.

    An unsigned field has two such surfaces, one on each side of a thin wall. Cells that touch a point outside of the mask
    are left open.
    """
    from skimage.measure import marching_cubes

    is_near = distance_vox < iso_vox + 2.0  # the cells that can hold the surface, and one more for the gradients
    low, high = bounding_box(is_near)
    low_tensor = torch.tensor(low)
    box = tuple(slice(max(a - 1, 0), b + 1) for a, b in zip(low, high, strict=True))
    field = distance_vox[box].float().cpu().numpy()
    if min(field.shape) < 2 or not field.min() < iso_vox < field.max():
        return Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long))
    cells = None if mask is None else mask[box].cpu().numpy()
    vertices, faces, _, _ = marching_cubes(field, iso_vox, mask=cells, gradient_direction="descent")
    origin = (low_tensor - 1).clamp(min=0).numpy()
    return Mesh(torch.from_numpy((vertices + origin).astype(np.float32)), torch.from_numpy(faces.astype(np.int64)))


def label_of_vertices(mesh: Mesh, labels: Tensor, distance_vox: Float[Tensor, "x y z"]) -> Tensor:
    """The label of the voxel nearest to the surface among the eight around each vertex (0 where none has one)."""
    limit = torch.tensor(labels.shape) - 1
    low = mesh.vertices.floor().long()
    best_distance = torch.full((len(low),), torch.inf)
    best = labels.new_zeros(len(low))
    for corner in range(8):
        offset = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        i, j, k = (low + offset).clamp(min=0).minimum(limit).unbind(1)
        label, distance = labels[i, j, k], distance_vox[i, j, k].float()
        is_better = (label > 0) & (distance < best_distance)
        best = torch.where(is_better, label, best)
        best_distance = torch.where(is_better, distance, best_distance)
    return best
