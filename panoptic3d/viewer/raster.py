"""A small z-buffer in plain tensors: pictures of meshes without a GPU, a window or a graphics library."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from panoptic3d.geometry.pinhole import project
from panoptic3d.sparse.parallel import over_blocks
from panoptic3d.structures.camera import Camera

_NEAR_M = 0.05
_MAX_PIXELS_AT_ONCE = 200_000
_LADDER = 1.4  # from one size of boxes to the next
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
    pixels, depth_m = project(vertices_m.double(), camera.intrinsics)
    visible = (depth_m[faces] > _NEAR_M).all(dim=1).nonzero().squeeze(1)
    corners = pixels.index_select(0, faces.index_select(0, visible).view(-1)).view(-1, 3, 2)
    first = corners.amin(dim=1).ceil().clamp(min=0).long()
    size = torch.tensor([width, height])
    last = corners.amax(dim=1).floor().long().minimum(size - 1)
    on_screen = (last >= first).all(dim=1).nonzero().squeeze(1)
    order, groups = _of_like_size((last - first + 1).index_select(0, on_screen))
    shown = on_screen.index_select(0, order)
    ids, corners, first = (values.index_select(0, shown) for values in (visible, corners, first))
    inverse_depth = 1 / depth_m[faces.index_select(0, ids)]

    def drawn(group: tuple[slice, tuple[int, int]]) -> tuple[Tensor, Tensor]:
        rows, reach = group
        return _drawn(corners[rows], inverse_depth[rows], first[rows], ids[rows], reach, width, height)

    for place, key in over_blocks(drawn, groups, faces.device):
        keys.scatter_reduce_(0, place, key, reduce="amin")
    is_hit = keys < _NOTHING
    face = torch.where(is_hit, keys & 0xFFFFFFFF, -1)
    bits = torch.where(is_hit, keys >> 32, 0).to(torch.int32)
    depth = torch.where(is_hit, bits.view(torch.float32), torch.inf)
    return Fragments(face.view(height, width), depth.view(height, width))


def _of_like_size(extent: Int64[Tensor, "f 2"]) -> tuple[Int64[Tensor, " f"], list[tuple[slice, tuple[int, int]]]]:
    """An order in which faces whose boxes are about as wide and as high follow each other, and these groups with the width
    and height that hold them all, so that a large face does not make the small ones expensive; none too large.
    """
    ladder = [1]
    while ladder[-1] < int(extent.max() if len(extent) else 0):
        ladder.append(max(ladder[-1] + 1, int(ladder[-1] * _LADDER)))
    column, row = torch.bucketize(extent, torch.tensor(ladder)).unbind(1)
    key = column * len(ladder) + row
    groups, end = [], 0
    for number, count in enumerate(key.bincount().tolist()):
        reach = ladder[number // len(ladder)], ladder[number % len(ladder)]
        start, end = end, end + count
        step = max(1, _MAX_PIXELS_AT_ONCE // (reach[0] * reach[1]))
        groups += [(slice(low, min(low + step, end)), reach) for low in range(start, end, step)]
    return key.argsort(stable=True), groups


def _drawn(
    corners: Tensor,
    inverse_depth: Tensor,
    first: Tensor,
    ids: Tensor,
    reach: tuple[int, int],
    width: int,
    height: int,
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Pixels that faces hit, and the keys that they enter there: depth bits above, face number below, the smallest wins."""
    columns, rows = (torch.arange(size) for size in reach)
    offset = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).view(-1, 2)
    planes, is_flat = _planes(corners - first[:, None], inverse_depth)
    here = F.pad(offset.double(), (0, 1), value=1.0)
    *shares, inverse = (planes @ here.T).unbind(1)
    inside = torch.minimum(torch.minimum(shares[0], shares[1]), shares[2]) >= -_ROUNDING
    hit = (inside & ~is_flat[:, None]).view(-1).nonzero()[:, 0]
    face, place = hit // len(offset), hit % len(offset)
    column, row = (first.index_select(0, face) + offset.index_select(0, place)).unbind(1)
    # Positive floats order as their bits do.
    bits = inverse.reshape(-1)[hit].reciprocal_().float().view(torch.int32).long()
    key = torch.where((column < width) & (row < height), bits << 32 | ids[face], _NOTHING)
    return (row * width + column).clamp_(max=width * height - 1), key


def _planes(
    corners: Float64[Tensor, "f 3 2"], inverse_depth: Float64[Tensor, "f 3"]
) -> tuple[Float64[Tensor, "f 4 3"], Bool[Tensor, " f"]]:
    """Of each face the factors of x, y and 1 in the shares of its corners and in 1/z; and whether it is a line."""
    a, b, c = corners.unbind(1)
    area = _cross(b - a, c - a)
    is_flat = area == 0
    edges = ((b, c), (c, a), (a, b))  # of the corner opposite to each
    shares = torch.stack([torch.stack((p[:, 1] - q[:, 1], q[:, 0] - p[:, 0], _cross(p, q)), 1) for p, q in edges], 1)
    shares /= torch.where(is_flat, 1.0, area)[:, None, None]
    return torch.cat((shares, (shares * inverse_depth[..., None]).sum(dim=1, keepdim=True)), dim=1), is_flat


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


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
