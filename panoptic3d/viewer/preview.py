"""preview.png: the picture of a scene for a paper or a chat."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.draw import Drawable, Pose, draw, facing, looking
from panoptic3d.viewer.palette import scale_colors
from panoptic3d.viewer.sheet import LegendEntry, Panel, draw_sheet

PANEL_WIDTH = 480
_OVERLAY = 0.55
_MARGIN = 1.06
_VIEW_FOV_DEG, _PLAN_FOV_DEG = 45.0, 6.0  # a plan is nearly parallel
_MOST_POINTS = 4000
_OUTLIERS = 0.0005  # of the surface at each end of an axis: a speck far away must not make the room small
_LABEL_PX = 74, 30  # a name above its size
_INK, _HALO = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True)
class PlanLabel:
    """A thing to be written into the plan: its middle and its sides across and along the view, metres."""

    name: str
    middle_m: tuple[float, float, float]
    size_m: tuple[float, float]


def preview_sheet(
    mesh: Drawable,
    depth_m: Float32[Tensor, "h w"],
    label_color: UInt8[Tensor, "h w 3"],
    up: tuple[float, float, float],
    labels: Sequence[PlanLabel],
    legend: Sequence[LegendEntry],
    unsure: Collection[str],
) -> Image.Image:
    """Photo, our render from its camera, panoptic overlay, depth; the room from above, and its plan. `depth_m` (infinite
    where nothing is) and `label_color` are what the photo shows, at any size.
    """
    camera = mesh.camera
    width, height = _panel_size(camera)
    photo = mesh.photo.permute(1, 2, 0)
    small = _resized(photo, width, height)
    known = depth_m.isfinite()
    low, high = (float(depth_m[known].min()), float(depth_m[known].max())) if bool(known.any()) else (0.0, 1.0)
    labels_there = _resized(label_color, width, height, Image.Resampling.NEAREST)
    overlay = (small.float() * (1 - _OVERLAY) + labels_there.float() * _OVERLAY).round().to(torch.uint8)
    depth = _resized(scale_colors(depth_m, low, high), width, height)
    straight = Pose(torch.eye(3), torch.zeros(3))
    up_vector = torch.tensor(up, dtype=torch.float32)
    panels = [
        Panel("photo", small),
        Panel("the scene from there", draw(mesh, camera.resized(width, height), straight, is_lit=False)),
        Panel("panoptic", overlay),
        Panel(f"depth, {low:.1f} .. {high:.1f} m", depth),
        Panel("from above, what is hidden is guessed (lighter)", _three_quarter(mesh, up_vector, width, height)),
        Panel("plan", _plan(mesh, up_vector, labels, width, height)),
    ]
    return draw_sheet(panels, legend, unsure=unsure)


def _panel_size(camera: Camera) -> tuple[int, int]:
    scale = PANEL_WIDTH / max(camera.width, camera.height)
    return max(1, round(camera.width * scale)), max(1, round(camera.height * scale))


def _resized(
    picture: UInt8[Tensor, "h w 3"], width: int, height: int, how: Image.Resampling = Image.Resampling.BILINEAR
) -> UInt8[Tensor, "h2 w2 3"]:
    image = Image.fromarray(picture.contiguous().numpy()).resize((width, height), how)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, 3)


def _ahead(up: Float32[Tensor, "3"]) -> Float32[Tensor, "3"]:
    """Where the photo looked, on the level."""
    forward = torch.tensor([0.0, 0.0, 1.0])
    return torch.nn.functional.normalize(forward - up * (forward @ up), dim=0)


def _three_quarter(mesh: Drawable, up: Float32[Tensor, "3"], width: int, height: int) -> UInt8[Tensor, "h w 3"]:
    ahead = _ahead(up)
    right = torch.linalg.cross(ahead, up)
    forward = ahead * 0.82 - up * 0.45 - right * 0.25  # flat enough for the depth to look as in the photo
    mesh = mesh.chosen(~mesh.is_ceiling & ~mesh.is_doubtful)
    camera = Camera.from_fov(_VIEW_FOV_DEG, width, height)
    pose = fitted(mesh, forward, up, camera)
    return draw(mesh.chosen(facing(mesh, pose, is_parallel=False)), camera, pose)


def _plan(
    mesh: Drawable, up: Float32[Tensor, "3"], labels: Sequence[PlanLabel], width: int, height: int
) -> UInt8[Tensor, "h w 3"]:
    mesh = mesh.chosen(~mesh.is_ceiling & ~mesh.is_doubtful)
    camera = Camera.from_fov(_PLAN_FOV_DEG, width, height)
    pose = fitted(mesh, -up, _ahead(up), camera)
    image = Image.fromarray(draw(mesh.chosen(facing(mesh, pose, is_parallel=True)), camera, pose).numpy())
    _write_sizes(image, mesh, pose, camera, labels)
    return torch.from_numpy(np.array(image))


def fitted(mesh: Drawable, forward: Float[Tensor, "3"], up: Float[Tensor, "3"], camera: Camera) -> Pose:
    """Pose of the camera at the nearest place from which the whole mesh is inside of the picture."""
    straight = looking(forward, up, torch.zeros(3))
    points = straight.of(_shown_points(mesh)).double()
    if not len(points):
        return straight
    bounds = torch.quantile(points, torch.tensor([_OUTLIERS, 1 - _OUTLIERS], dtype=points.dtype), dim=0)
    points = points.minimum(bounds[1]).maximum(bounds[0])
    x, y, z = points.unbind(1)
    wide, tall = (camera.width / 2 / camera.fx_px) / _MARGIN, (camera.height / 2 / camera.fy_px) / _MARGIN
    right, left = float((x - wide * z).max()), float((-x - wide * z).max())
    down, above = float((y - tall * z).max()), float((-y - tall * z).max())
    back = min(-(right + left) / 2 / wide, -(down + above) / 2 / tall)
    eye = torch.tensor([(right - left) / 2, (down - above) / 2, back])
    return looking(forward, up, eye @ straight.turn.double().float())


def _shown_points(mesh: Drawable) -> Float32[Tensor, "n 3"]:
    """Corners of faces that are drawn evenly from the surface: a wall has few faces, and its corners count all the same."""
    if not len(mesh.faces):
        return mesh.vertices_m[:0]
    a, b, c = mesh.vertices_m[mesh.faces].double().unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1).cumsum(0)
    places = (torch.arange(_MOST_POINTS, dtype=torch.float64) + 0.5) / _MOST_POINTS * area[-1]
    chosen = torch.searchsorted(area, places).clamp(max=len(area) - 1)
    return mesh.vertices_m[mesh.faces[chosen].flatten()]


def _write_sizes(image: Image.Image, mesh: Drawable, pose: Pose, camera: Camera, labels: Sequence[PlanLabel]) -> None:
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(12)

    def at(points: Tensor) -> tuple[list[float], list[float]]:
        x, y, z = pose.of(points).unbind(1)
        return (x / z * camera.fx_px + camera.cx_px).tolist(), (y / z * camera.fy_px + camera.cy_px).tolist()

    def write(x: float, y: float, text: str) -> None:
        drawing.text((x, y), text, _INK, font, anchor="mm", align="center", stroke_width=2, stroke_fill=_HALO)

    points = pose.of(_shown_points(mesh))
    if len(points):
        low, high = (torch.quantile(points, share, dim=0) for share in (0.01, 0.99))
        across, along = (high - low).tolist()[:2]
        write(image.width / 2, float(image.height - 9), f"{across:.1f} m")
        label = Image.new("RGBA", (80, 18))
        ImageDraw.Draw(label).text((40, 9), f"{along:.1f} m", _INK, font, "mm", stroke_width=2, stroke_fill=_HALO)
        label = label.rotate(90, expand=True)
        image.paste(label, (0, (image.height - label.height) // 2), label)
    taken: list[tuple[float, float]] = []
    for one in labels:
        (x,), (y,) = at(torch.tensor([one.middle_m]))
        is_free = all(abs(x - a) > _LABEL_PX[0] or abs(y - b) > _LABEL_PX[1] for a, b in taken)
        if is_free and 30 < x < image.width - 30 and 14 < y < image.height - 24:
            write(x, y, f"{one.name}\n{one.size_m[0]:.1f} x {one.size_m[1]:.1f} m")
            taken.append((x, y))
