"""Which way is up: floors and ceilings say it, else the photo's own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_STEEPEST = 0.7  # cosine to the photo's up direction: cameras are tilted by less than 45 degrees
_CAMERA_UP = (0.0, -1.0, 0.0)  # camera frame
_ALIKE = 0.9  # cosine: what is not so near the first answer does not count in the second


def up_of_floors(meshes: Sequence[tuple[Float[Tensor, "_ 3"], Int64[Tensor, "_ 3"]]]) -> tuple[float, float, float]:
    """A unit vector in the camera frame from meshes of floors and ceilings, which may turn either way."""
    start = torch.tensor(_CAMERA_UP, dtype=torch.float64)
    normals = [_area_normals(vertices.double(), faces) for vertices, faces in meshes if len(faces)]
    if not normals:
        return _CAMERA_UP
    normal = torch.cat(normals)
    normal = normal * (normal @ start).sign()[:, None]
    up = start
    for least in (_STEEPEST, _ALIKE, _ALIKE):
        own = normal[(normal @ up) > least * normal.norm(dim=1)]
        if not len(own):
            return _CAMERA_UP
        up = torch.nn.functional.normalize(own.sum(dim=0), dim=0)
    x, y, z = up.tolist()
    return (x, y, z)


def _area_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    a, b, c = vertices[faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)
