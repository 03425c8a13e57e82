"""preview.png: what one would paste into a paper or a chat."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.palette import scale_colors
from panoptic3d.viewer.png import png_bytes
from panoptic3d.viewer.raster import Fragments, shade
from panoptic3d.viewer.sheet import Panel, draw_sheet

PANEL_WIDTH = 480
_OVERLAY = 0.6
_SKY = (233, 237, 241)


def preview_png(
    photo: UInt8[Tensor, "3 h w"],
    seen: Fragments,
    vertices_m: Float32[Tensor, "v 3"],
    faces: Int64[Tensor, "f 3"],
    face_photo: UInt8[Tensor, "f 3"],
    face_panoptic: UInt8[Tensor, "f 3"],
    legend: list[tuple[str, tuple[int, int, int]]],
) -> bytes:
    """Photo, depth, panoptic overlay, two renders from elsewhere. `seen` is what the photo's camera sees of the result."""
    height, width = seen.depth_m.shape
    hit = seen.face >= 0
    depth = seen.depth_m[hit]
    low, high = (float(depth.min()), float(depth.max())) if depth.numel() else (0.0, 1.0)
    label = face_panoptic[seen.face.clamp(min=0)].float() if len(faces) else torch.zeros(height, width, 3)
    picture = photo.permute(1, 2, 0).float()
    mixed = torch.where(hit[..., None], picture * (1 - _OVERLAY) + label * _OVERLAY, picture)
    panels = [
        Panel("photo", _panel(photo.permute(1, 2, 0))),
        Panel(f"depth of the result, {low:.2f} .. {high:.2f} m", _panel(scale_colors(seen.depth_m, low, high))),
        Panel("panoptic", _panel(mixed.round().to(torch.uint8))),
    ]

    def view(title: str, yaw: float, colors: Tensor) -> Panel:
        camera, moved = _orbit(vertices_m, yaw, panels[0].picture.shape[:2])
        return Panel(title, shade(moved, faces, colors, camera, _SKY))

    views = (("from the left, photo colours", -0.55, face_photo), ("from the right, panoptic", 0.55, face_panoptic))
    with ThreadPoolExecutor(len(views), thread_name_prefix="preview") as beside:
        panels += beside.map(view, *zip(*views, strict=True))
    return png_bytes(np.asarray(draw_sheet(panels, legend)))


def fit_inside(width: int, height: int, limit: int) -> tuple[int, int]:
    scale = min(1.0, limit / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _panel(picture: UInt8[Tensor, "h w 3"]) -> UInt8[Tensor, "h2 w2 3"]:
    height, width = picture.shape[:2]
    scale = PANEL_WIDTH / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(picture.contiguous().numpy()).resize(size, Image.Resampling.BILINEAR)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(size[1], size[0], 3)


def _orbit(vertices_m: Tensor, yaw_rad: float, size: torch.Size) -> tuple[Camera, Tensor]:
    """A camera above the photo's, swung around the middle of the scene and looking down at it."""
    middle = vertices_m.median(dim=0).values if len(vertices_m) else torch.tensor([0.0, 0.0, 2.0])
    pitch = 0.5
    around = _turn(1, yaw_rad)
    forward = _turn(0, pitch) @ around  # camera from world
    distance = float(middle[2]) * 0.75 + 1.6
    eye = middle - forward.T @ torch.tensor([0.0, 0.0, distance])
    camera = Camera.from_fov(55.0, int(size[1]), int(size[0]))
    return camera, (vertices_m - eye) @ forward.T


def _turn(axis: int, angle_rad: float) -> Tensor:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    matrix = torch.eye(3)
    a, b = [k for k in range(3) if k != axis]
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = cos, -sin, sin, cos
    return matrix
