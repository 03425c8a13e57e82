"""Anchors of one level, with the rounding of the first Detectron, which published weights have learnt."""

import torch
from jaxtyping import Float
from torch import Tensor


def base_anchors(stride: int, sizes: tuple[int, ...], ratios: tuple[float, ...]) -> Float[Tensor, "a 4"]:
    """Boxes around the first cell, ratio by ratio (height over width), size by size; float32 and whole numbers.

    A ratio is applied to one cell and rounded there, before the size scales it: halves go to the even number.
    """
    boxes: list[list[float]] = []
    for ratio in ratios:
        width = round((stride * stride / ratio) ** 0.5)
        height = round(width * ratio)
        for size in sizes:
            half_width, half_height = (width * size / stride - 1) / 2, (height * size / stride - 1) / 2
            centre = (stride - 1) / 2
            boxes.append([centre - half_width, centre - half_height, centre + half_width, centre + half_height])
    return torch.tensor(boxes, dtype=torch.float32)


def anchors_of_map(base: Float[Tensor, "a 4"], height: int, width: int, stride: int) -> Float[Tensor, "n 4"]:
    """Anchors of every cell: row by row, column by column, the base anchors innermost."""
    y, x = torch.meshgrid(
        torch.arange(height, device=base.device) * stride,
        torch.arange(width, device=base.device) * stride,
        indexing="ij",
    )
    shift = torch.stack((x, y, x, y), dim=-1).view(-1, 1, 4).to(base.dtype)
    return (shift + base).view(-1, 4)
