"""Panels with titles on one sheet, and the panels that show a sample."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panoptic3d.geometry.frustum import bounding_box
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.sample import Sample, VoxelTruth
from panoptic3d.viewer.palette import class_colors, instance_colors, scale_colors
from panoptic3d.viewer.raster import shade

_GAP, _TITLE, _LEGEND, _INK, _PAPER = 8, 22, 22, (25, 25, 25), (255, 255, 255)

LegendEntry = tuple[str, tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class Panel:
    title: str
    picture: UInt8[Tensor, "h w 3"]


@dataclass(frozen=True, eq=False)
class ColoredMesh:
    """Vertices in the camera frame, metres."""

    vertices_m: Tensor
    faces: Tensor
    face_semantic: Tensor
    face_instance: Tensor


def draw_sheet(
    panels: Sequence[Panel],
    legend: Sequence[LegendEntry],
    columns: int = 3,
    unsure: Collection[str] = (),
) -> Image.Image:
    """Panels in rows of one size, then the legend in as many rows as it needs. Unsure names are crossed and end in ?"""
    width = max(panel.picture.shape[1] for panel in panels)
    height = max(panel.picture.shape[0] for panel in panels)
    rows = -(-len(panels) // columns)
    cell_w, cell_h = width + _GAP, height + _TITLE + _GAP
    font = ImageFont.load_default(14)
    legend = [(f"{name} ?" if name in unsure else name, color) for name, color in legend]
    widths = [34 + int(font.getlength(name)) for name, _ in legend]
    corners = _wrapped(widths, columns * cell_w - _GAP)
    legend_h = _LEGEND * (1 + max((row for _, row in corners), default=0))
    sheet = Image.new("RGB", (columns * cell_w + _GAP, rows * cell_h + 2 * _GAP + legend_h), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, panel in enumerate(panels):
        x, y = _GAP + number % columns * cell_w, _GAP + number // columns * cell_h
        draw.text((x, y), panel.title, fill=_INK, font=font)
        sheet.paste(Image.fromarray(np.ascontiguousarray(panel.picture.numpy())), (x, y + _TITLE))
    for (name, color), (left, row) in zip(legend, corners, strict=True):
        x, y = _GAP + left, _GAP + rows * cell_h + row * _LEGEND
        draw.rectangle((x, y + 3, x + 14, y + 17), fill=color, outline=_INK)
        if name.endswith(" ?"):
            draw.line((x, y + 17, x + 14, y + 3), fill=_INK)
        draw.text((x + 19, y + 1), name, fill=_INK, font=font)
    return sheet


def _wrapped(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Left edge and row of each piece, as words are set in lines."""
    corners, x, row = [], 0, 0
    for width in widths:
        if x and x + width > room:
            x, row = 0, row + 1
        corners.append((x, row))
        x += width
    return corners


def sample_panels(sample: Sample, mesh: ColoredMesh | None) -> list[Panel]:
    """Photo, depth, labels in 2D; slices of the volume; the mesh by instance and by class."""
    depth = sample.depth_m
    valid = depth[depth.isfinite() & (depth > 0)]
    low, high = (float(valid.min()), float(valid.max())) if valid.numel() else (0.0, 1.0)
    panels = [
        Panel(f"photo {_shortened(sample.scene)}/{_shortened(sample.frame)}", sample.image.permute(1, 2, 0)),
        Panel(f"depth {low:.2f} .. {high:.2f} m", scale_colors(depth, low, high)),
        Panel("classes in 2D", class_colors(sample.semantic_2d, sample.taxonomy)),
        Panel("instances in 2D (walls have ids too)", instance_colors(sample.instance_2d)),
    ]
    if sample.truth is not None:
        panels += _slices(sample.truth, sample)
    if mesh is not None and sample.truth is not None:
        camera, vertices_m = _bird(sample.camera, mesh.vertices_m)
        for title, colors in (
            ("mesh by instance", instance_colors(mesh.face_instance)),
            ("mesh by class", class_colors(mesh.face_semantic, sample.taxonomy)),
        ):
            panels.append(Panel(title, shade(vertices_m, mesh.faces, colors, camera)))
    return panels


def _shortened(name: str) -> str:
    return name if len(name) <= 17 else f"{name[:8]}…{name[-8:]}"


def _slices(truth: VoxelTruth, sample: Sample) -> list[Panel]:
    """Three slices, each through the grid point with the most labelled voxels along its axis."""
    distance, semantic = truth.dense_distance_vox().abs(), truth.dense_semantic()
    panels = []
    for axis, name, meaning in ((0, "i", "side view"), (1, "j", "plan"), (2, "k", "front view")):
        others = tuple(other for other in range(3) if other != axis)
        is_thing = (semantic > 0) & (semantic < sample.taxonomy.id_of("wall"))
        counts = (is_thing if bool(is_thing.any()) else semantic > 0).sum(dim=others)
        at = int(counts.argmax())
        only = torch.zeros_like(truth.frustum_mask)
        only.select(axis, at).copy_(truth.frustum_mask.select(axis, at))
        window = tuple(slice(a, b) for a, b in zip(*bounding_box(only), strict=True))
        near = distance[window].squeeze(axis)
        color = (255 - 40 * (3 - near.clamp(max=3)))[..., None].expand(*near.shape, 3).to(torch.uint8)
        label = semantic[window].squeeze(axis)
        color = torch.where((label > 0)[..., None], class_colors(label, sample.taxonomy), color)
        outside = ~truth.frustum_mask[window].squeeze(axis)
        color = torch.where(outside[..., None], torch.tensor((225, 225, 235), dtype=torch.uint8), color)
        # Picture rows go down: y for side and front views, and away from the camera upwards in the plan.
        picture = {0: color, 1: color.transpose(0, 1).flip(0), 2: color.transpose(0, 1)}[axis]
        panels.append(Panel(f"slice {name} = {at} ({meaning})", _fit(picture, sample.camera)))
    return panels


def _fit(picture: UInt8[Tensor, "h w 3"], camera: Camera) -> UInt8[Tensor, "h2 w2 3"]:
    """Enlarged by whole pixels' neighbours to the photo's size, its shape kept."""
    image = Image.fromarray(np.ascontiguousarray(picture.numpy()))
    scale = min(camera.width / image.width, camera.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.NEAREST)))


def _bird(camera: Camera, vertices_m: Tensor) -> tuple[Camera, Tensor]:
    """A camera above and behind the photo's, looking down into the room."""
    pitch = torch.tensor(0.55)
    cos, sin = torch.cos(pitch), torch.sin(pitch)
    rotation = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    eye = torch.tensor([0.0, -2.3, -1.6])
    return Camera.from_fov(55.0, camera.width, camera.height), (vertices_m - eye) @ rotation.T
