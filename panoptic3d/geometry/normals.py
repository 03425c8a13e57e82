"""Normals of what a depth map shows."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.pinhole import unproject_depth_map


def normals_of(depth_m: Float[Tensor, "*b h w"], intrinsics: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b h2 w2 3"]:
    """Unit vectors towards the camera, of all pixels but the outermost, from the four next to each: exact on planes."""
    points = unproject_depth_map(depth_m, intrinsics)
    across = points[..., 1:-1, 2:, :] - points[..., 1:-1, :-2, :]
    down = points[..., 2:, 1:-1, :] - points[..., :-2, 1:-1, :]
    return F.normalize(torch.linalg.cross(down, across, dim=-1), dim=-1, eps=1e-12)


def have_normals(is_known: Bool[Tensor, "*b h w"]) -> Bool[Tensor, "*b h2 w2"]:
    """Whether a pixel and the four next to it are known."""
    middle = is_known[..., 1:-1, 1:-1]
    beside = is_known[..., 1:-1, 2:] & is_known[..., 1:-1, :-2]
    return middle & beside & is_known[..., 2:, 1:-1] & is_known[..., :-2, 1:-1]
