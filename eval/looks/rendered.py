"""What the camera of a photo sees of a GLB: depth, and the colours of textures and vertices without any light."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from eval.looks.read_glb import Primitive
from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.raster import rasterize


@dataclass(frozen=True, eq=False)
class Rendered:
    colors: Float[np.ndarray, "h w 3"]  # sRGB, 0 to 255; grey where nothing is
    depth_m: Float[np.ndarray, "h w"]  # infinite where nothing is
    primitive: Int64[np.ndarray, "h w"]  # -1 where nothing is

    @property
    def is_hit(self) -> Bool[np.ndarray, "h w"]:
        return self.primitive >= 0


def render(primitives: Sequence[Primitive], camera: Camera) -> Rendered:
    sizes = np.cumsum([0, *(len(p.vertices_m) for p in primitives)])
    vertices = np.concatenate([np.zeros((0, 3)), *(p.vertices_m for p in primitives)])
    faces = np.concatenate(
        [np.zeros((0, 3), np.int64), *(p.faces + start for p, start in zip(primitives, sizes, strict=False))]
    )
    owner = np.repeat(np.arange(len(primitives)), [len(p.faces) for p in primitives])
    seen = rasterize(torch.from_numpy(vertices), torch.from_numpy(faces), camera)
    face, depth = seen.face.numpy(), seen.depth_m.numpy().astype(np.float64)
    primitive = np.where(face >= 0, owner[face.clip(0)] if len(owner) else -1, -1)
    colors = np.full((*face.shape, 3), 128.0)
    for number, one in enumerate(primitives):
        rows, columns = np.nonzero(primitive == number)
        if len(rows):
            shares = _shares(vertices[faces[face[rows, columns]]], _points(rows, columns, depth[rows, columns], camera))
            colors[rows, columns] = _color(one, faces[face[rows, columns]] - sizes[number], shares)
    return Rendered(colors, depth, primitive)


def _points(rows: np.ndarray, columns: np.ndarray, depth: np.ndarray, camera: Camera) -> Float[np.ndarray, "n 3"]:
    x = (columns - camera.cx_px) / camera.fx_px * depth
    return np.stack((x, (rows - camera.cy_px) / camera.fy_px * depth, depth), axis=1)


def _shares(corners: Float[np.ndarray, "n 3 3"], points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """How near each point of a triangle is to its three corners; they sum to 1."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal**2).sum(axis=1), 1e-30)
    first = (np.cross(c - b, points - b) * normal).sum(axis=1) / area
    second = (np.cross(a - c, points - c) * normal).sum(axis=1) / area
    return np.stack((first, second, 1 - first - second), axis=1)


def _color(one: Primitive, corners: Int64[np.ndarray, "n 3"], shares: np.ndarray) -> Float[np.ndarray, "n 3"]:
    if one.texture is not None and one.uv is not None:
        return _sampled(one.texture, (one.uv[corners] * shares[..., None]).sum(axis=1))
    if one.colors is not None:
        return (one.colors[corners] * shares[..., None]).sum(axis=1) * 255
    return np.full((len(corners), 3), 255.0)


def _sampled(texture: np.ndarray, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Bilinear; glTF's (0, 0) is the corner of the first pixel."""
    size = np.array([texture.shape[1], texture.shape[0]])
    at = np.clip(uv * size - 0.5, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    across, down = (at - low).T[..., None]
    upper = texture[low[:, 1], low[:, 0]] * (1 - across) + texture[low[:, 1], high[:, 0]] * across
    lower = texture[high[:, 1], low[:, 0]] * (1 - across) + texture[high[:, 1], high[:, 0]] * across
    return upper * (1 - down) + lower * down
