"""A small z-buffer in plain tensors: pictures of meshes without a GPU, a window or a graphics library."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from panoptic3d.geometry.pinhole import project
from panoptic3d.structures.camera import Camera

_NEAR_M = 0.05
_PIXELS_AT_ONCE = 400_000  # bounds the memory
_Plane = tuple[Float64[Tensor, " f"], Float64[Tensor, " f"], Float64[Tensor, " f"]]
_NOTHING = torch.iinfo(torch.int64).max
_ROUNDING = 1e-9  # of a share: a pixel on the edge of two faces is never in neither


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel shows: -1 where nothing."""

    face: Int64[Tensor, "h w"]
    depth_m: Float32[Tensor, "h w"]  # infinite where nothing


def rasterize(vertices_m: Float[Tensor, "v 3"], faces: Int64[Tensor, "f 3"], camera: Camera) -> Fragments:
    """The nearest face of every pixel centre. Vertices in the camera frame; faces that reach behind it are left out."""
    width, height = camera.width, camera.height
    keys = torch.full((height * width,), _NOTHING, dtype=torch.int64)
    for place, bits, face in _all_fragments(vertices_m, faces, camera):
        keys.scatter_reduce_(0, place, bits << 32 | face, reduce="amin")
    is_hit = keys < _NOTHING
    face = torch.where(is_hit, keys & 0xFFFFFFFF, -1)
    bits = torch.where(is_hit, keys >> 32, 0).to(torch.int32)
    depth = torch.where(is_hit, bits.view(torch.float32), torch.inf)
    return Fragments(face.view(height, width), depth.view(height, width))


def in_front(
    vertices_m: Float[Tensor, "v 3"], faces: Int64[Tensor, "f 3"], camera: Camera, depth_m: Float[Tensor, "h w"]
) -> Bool[Tensor, " f"]:
    """Faces that are nearer than the given depth at some pixel."""
    limit = depth_m.reshape(-1).float()
    is_in_front = torch.zeros(len(faces), dtype=torch.bool)
    for place, bits, face in _all_fragments(vertices_m, faces, camera):
        is_nearer = bits.to(torch.int32).view(torch.float32) < limit.index_select(0, place)
        is_in_front[face[is_nearer]] = True
    return is_in_front


def _all_fragments(
    vertices_m: Float[Tensor, "v 3"], faces: Int64[Tensor, "f 3"], camera: Camera
) -> Iterator[tuple[Int64[Tensor, " n"], Int64[Tensor, " n"], Int64[Tensor, " n"]]]:
    """Pixels, the bits of depths there and faces, a block of faces after the other."""
    width, height = camera.width, camera.height
    pixels, depth_m = project(vertices_m.double(), camera.intrinsics)
    visible = (depth_m[faces] > _NEAR_M).all(dim=1).nonzero().squeeze(1)
    corners = pixels.index_select(0, faces.index_select(0, visible).view(-1)).view(-1, 3, 2)
    size = torch.tensor([width, height], dtype=torch.float64)
    first = corners.amin(dim=1).ceil().clamp(min=0).minimum(size).long()
    last = corners.amax(dim=1).floor().clamp(min=-1).minimum(size - 1).long()
    on_screen = (last >= first).all(dim=1).nonzero().squeeze(1)
    ids, corners, first, last = (values.index_select(0, on_screen) for values in (visible, corners, first, last))
    inverse_depth = 1 / depth_m[faces.index_select(0, ids)]
    for rows in _blocks((last - first + 1).prod(dim=1)):
        place, bits, face = _drawn(corners[rows], inverse_depth[rows], first[rows], last[rows], width)
        yield place, bits, ids[rows].index_select(0, face)


def _blocks(num_pixels: Int64[Tensor, " f"]) -> list[slice]:
    """Slices of consecutive faces with about `_PIXELS_AT_ONCE` pixels in their bounding boxes."""
    number = (num_pixels.cumsum(0) - num_pixels) // _PIXELS_AT_ONCE
    ends = torch.unique_consecutive(number, return_counts=True)[1].cumsum(0).tolist()
    return [slice(start, end) for start, end in pairwise([0, *ends])]


def _drawn(
    corners: Float64[Tensor, "f 3 2"],
    inverse_depth: Float64[Tensor, "f 3"],
    first: Int64[Tensor, "f 2"],
    last: Int64[Tensor, "f 2"],
    width: int,
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Pixels that faces hit, the bits of their depths there (positive floats order as their bits do), and the faces.

    Row by row of a face: where each of its shares begins to be positive or ceases to be bounds a run of pixels.
    """
    *shares, inverse = _planes(corners - first[:, None], inverse_depth)
    face, row = _spread((last - first)[:, 1] + 1)
    start = torch.zeros(len(face), dtype=torch.float64)
    end = (last - first)[:, 0].index_select(0, face).double()
    for share in shares:
        slope, per_row, constant = (factor.index_select(0, face) for factor in share)
        rest = per_row.mul_(row).add_(constant).add_(_ROUNDING)
        bound = (-rest).div_(slope)
        grows, falls = slope > 0, slope < 0
        start = torch.where(grows, torch.maximum(start, bound), start)
        end = torch.where(falls, torch.minimum(end, bound), end)
        end = torch.where(grows | falls | (rest >= 0), end, -1.0)
    start = start.ceil_().clamp_(max=width)
    run, column = _spread((end.floor_() - start + 1).clamp_(min=0).nan_to_num_(0.0).long())
    column += start.long().index_select(0, run)
    face = face.index_select(0, run)
    row = row.index_select(0, run)
    slope, per_row, constant = (factor.index_select(0, face) for factor in inverse)
    depth = slope.mul_(column).add_(per_row.mul_(row)).add_(constant).reciprocal_().float()
    place = (first[:, 1] * width + first[:, 0]).index_select(0, face) + row.mul_(width).add_(column)
    return place, depth.view(torch.int32).long(), face


def _spread(counts: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Each row as often as its count says, and numbers from 0 within it."""
    row = torch.arange(len(counts)).repeat_interleave(counts)
    return row, torch.arange(len(row)) - (counts.cumsum(0) - counts).index_select(0, row)


def _planes(corners: Float64[Tensor, "f 3 2"], inverse_depth: Float64[Tensor, "f 3"]) -> tuple[_Plane, ...]:
    """Coefficients of x, y, and 1 for each face's barycentric coordinates and 1/z; NaN for a face that is a line."""
    (ax, ay), (bx, by), (cx, cy) = (corner.unbind(1) for corner in corners.unbind(1))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = torch.where(area == 0, torch.nan, area)
    edges = ((bx, by, cx, cy), (cx, cy, ax, ay), (ax, ay, bx, by))  # edge opposite to each corner
    shares = [((py - qy) / area, (qx - px) / area, (px * qy - py * qx) / area) for px, py, qx, qy in edges]
    a, b, c = inverse_depth.unbind(1)
    x, y, z = (one * a + other * b + third * c for one, other, third in zip(*shares, strict=True))
    return (*shares, (x, y, z))


def shade(
    vertices_m: Float[Tensor, "v 3"],
    faces: Int64[Tensor, "f 3"],
    face_colors: UInt8[Tensor, "f 3"],
    camera: Camera,
    background: tuple[int, int, int] = (255, 255, 255),
) -> UInt8[Tensor, "h w 3"]:
    """A picture with a head light, so that surfaces seen at a grazing angle are darker."""
    fragments = rasterize(vertices_m, faces, camera)
    hit = fragments.face >= 0
    face = fragments.face[hit]
    a, b, c = vertices_m[faces[face]].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    view = torch.nn.functional.normalize((a + b + c) / 3, dim=1)
    light = 0.35 + 0.65 * (normal * view).sum(dim=1).abs()
    picture = torch.tensor(background, dtype=torch.uint8).expand(camera.height, camera.width, 3).clone()
    picture[hit] = (face_colors[face].float() * light[:, None]).round().to(torch.uint8)
    return picture
