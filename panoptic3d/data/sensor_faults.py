"""Simulate faults of depth sensors: holes at edges and on glass, coarse steps, a wrong scale, blur, an empty border."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.config import Config

_EDGE = 0.04  # of depth: neighbours that differ by more are an edge
_BLOB_CELLS = 6  # coarse noise in which glass is drawn, a side


class SensorFaults(Config):
    """Limits of what is drawn for each image, evenly. Zeros leave a fault out."""

    scale: tuple[float, float] = (0.9, 1.1)
    step_per_m2: tuple[float, float] = (
        0.0005,
        0.003,
    )  # depth in so many metres at 1 m; it grows with the square (disparity)
    edge_px: tuple[float, float] = (0.0, 2.0)  # holes beside depth edges
    glass: tuple[float, float] = (0.0, 0.1)  # the share of the picture that is lost in a few pieces
    border: tuple[float, float] = (0.0, 0.06)  # of width and height, on each side
    blur_px: tuple[float, float] = (0.0, 1.0)


def with_sensor_faults(
    depth_m: Float[Tensor, "h w"], faults: SensorFaults, draw: torch.Generator
) -> Float[Tensor, "h w"]:
    """0 = not measured, before and after. The same generator gives the same faults."""
    height, width = depth_m.shape
    is_known = depth_m > 0
    scale, step, edge, glass, blur = (
        _between(limits, draw)
        for limits in (faults.scale, faults.step_per_m2, faults.edge_px, faults.glass, faults.blur_px)
    )
    margins = [round(_between(faults.border, draw) * side) for side in (height, height, width, width)]
    noise = torch.rand(1, 1, _BLOB_CELLS, _BLOB_CELLS, generator=draw)
    is_lost = _near_edges(depth_m, round(edge)) | _largest(noise, (height, width), glass).to(depth_m.device)
    is_lost |= ~_within(margins, depth_m)
    seen = _quantised(_blurred(depth_m, is_known, blur), step) * scale
    return torch.where(is_known & ~is_lost, seen, 0.0)


def _between(limits: tuple[float, float], draw: torch.Generator) -> float:
    low, high = limits
    return low + (high - low) * float(torch.rand((), generator=draw))


def _near_edges(depth_m: Float[Tensor, "h w"], reach_px: int) -> Bool[Tensor, "h w"]:
    if reach_px < 1:
        return torch.zeros_like(depth_m, dtype=torch.bool)
    is_edge = torch.zeros_like(depth_m)
    for axis in (0, 1):
        step = depth_m.diff(dim=axis).abs() > _EDGE * depth_m.narrow(axis, 0, depth_m.shape[axis] - 1)
        is_edge.narrow(axis, 0, step.shape[axis])[step] = 1
        is_edge.narrow(axis, 1, step.shape[axis])[step] = 1
    return F.max_pool2d(is_edge[None, None], 2 * reach_px - 1, stride=1, padding=reach_px - 1)[0, 0] > 0


def _largest(noise: Float[Tensor, "1 1 a b"], size: tuple[int, int], share: float) -> Bool[Tensor, "h w"]:
    """Smooth pieces that take this share of the picture."""
    smooth = F.interpolate(noise, size=size, mode="bicubic", align_corners=True)[0, 0]
    count = int(share * smooth.numel())
    if count == 0:
        return torch.zeros(size, dtype=torch.bool)
    return smooth >= smooth.flatten().topk(count).values[-1]


def _within(margins: list[int], like: Tensor) -> Bool[Tensor, "h w"]:
    top, bottom, left, right = margins
    inside = torch.zeros_like(like, dtype=torch.bool)
    inside[top : like.shape[0] - bottom, left : like.shape[1] - right] = True
    return inside


def _blurred(depth_m: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"], share: float) -> Float[Tensor, "h w"]:
    """Between the map and its mean over 3x3 pixels, of those that are known."""
    total = F.avg_pool2d(torch.where(is_known, depth_m, 0.0)[None, None], 3, stride=1, padding=1)[0, 0]
    known = F.avg_pool2d(is_known.to(depth_m)[None, None], 3, stride=1, padding=1)[0, 0]
    return depth_m + min(share, 1.0) * (total / known.clamp(min=1e-6) - depth_m)


def _quantised(depth_m: Float[Tensor, "h w"], step: float) -> Float[Tensor, "h w"]:
    """In even steps of one by depth, as triangulation has it."""
    if step == 0:
        return depth_m
    near = 1 / depth_m.clamp(min=1e-3)
    return 1 / ((near / step).round() * step).clamp(min=step)
