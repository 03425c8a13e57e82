"""Uni-3D's augmentation of photos: colours as in SSD (Liu et al., ECCV 2016), scaling, cropping, and flips.

For stages of the image alone: depth is rescaled with the picture as if the camera had stayed, which volumes would contradict.
"""

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from pydantic import Field, model_validator
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.data.augment import flipped
from panoptic3d.structures.sample import Sample

_MEAN_RGB = (124, 116, 104)  # of ImageNet: what the border is filled with is zero after normalisation
_BRIGHTNESS, _FACTOR, _HUE = 32.0, 0.5, 18  # of 255; factors are drawn from 1 - x to 1 + x; half degrees


class SsdAugmentConfig(Config):
    kind: Literal["ssd"]
    flip: float = Field(default=0.0, ge=0, le=1)  # the share of samples that are mirrored left to right
    shorter_px: tuple[int, ...] = ()  # the shorter side is brought to one of these; none: the picture stays whole
    window_px: int = Field(default=240, ge=32)  # of what has been resized, at most; smaller pictures get a border

    @model_validator(mode="after")
    def _sizes_are_sizes(self) -> "SsdAugmentConfig":
        if any(size < 1 for size in self.shorter_px):
            raise ValueError(f"shorter_px are numbers of pixels, got {self.shorter_px}")
        return self


def ssd_augmented(sample: Sample, config: SsdAugmentConfig, draw: torch.Generator) -> Sample:
    """Draws the same numbers whatever is switched on."""
    choice, left, top, mirror = torch.rand(4, generator=draw).tolist()
    image = recolored(sample.image, draw)
    sample = replace(sample, image=image)
    if config.shorter_px:
        size = config.shorter_px[min(int(choice * len(config.shorter_px)), len(config.shorter_px) - 1)]
        sample = zoomed(sample, size, config.window_px, left, top)
    return flipped(sample) if mirror < config.flip else sample


def zoomed(sample: Sample, shorter_px: int, window_px: int, left: float, top: float) -> Sample:
    """Resized, then a window whose place is given by two numbers in [0, 1], on a square canvas.

    A picture of twice the size shows things as from half the distance: so its depth is halved, but never below the least (or
    above the most) that the window shows. The camera is that of the canvas.
    """
    height, width = sample.depth_m.shape
    scale = shorter_px / min(height, width)
    new_h, new_w = (max(int(side * scale + 0.5), 1) for side in (height, width))
    rows, columns = min(window_px, new_h), min(window_px, new_w)
    row, column = round((new_h - rows) * top), round((new_w - columns) * left)

    def window(map_: Tensor) -> Tensor:
        i, j = (torch.arange(n) * old // n for n, old in ((new_h, height), (new_w, width)))
        part = map_[i[row : row + rows, None], j[column : column + columns]]
        return F.pad(part, (0, window_px - columns, 0, window_px - rows))

    grown = F.interpolate(sample.image[None], size=(new_h, new_w), mode="bilinear", antialias=True)[0]
    canvas = torch.tensor(_MEAN_RGB, dtype=torch.uint8)[:, None, None].expand(3, window_px, window_px).clone()
    canvas[:, :rows, :columns] = grown[:, row : row + rows, column : column + columns]
    depth_m = window(sample.depth_m)
    return replace(
        sample,
        image=canvas,
        camera=sample.camera.resized(new_w, new_h).cropped(column, row, window_px, window_px),
        depth_m=_as_near(depth_m, (width / new_w + height / new_h) / 2),
        semantic_2d=window(sample.semantic_2d),
        instance_2d=window(sample.instance_2d),
        room_2d=None if sample.room_2d is None else window(sample.room_2d),
    )


def _as_near(depth_m: Float[Tensor, "h w"], factor: float) -> Float[Tensor, "h w"]:
    """Pixels that were not measured stay so."""
    measured = depth_m > 0
    if not bool(measured.any()):
        return depth_m
    low, high = float(depth_m[measured].min()), float(depth_m.max())
    return torch.where(measured, (depth_m * factor).clamp(low, high), depth_m)


def recolored(image: UInt8[Tensor, "3 h w"], draw: torch.Generator) -> UInt8[Tensor, "3 h w"]:
    """Brightness, then contrast before or after saturation and hue; each of them for every second image. Each step is cut to
    whole steps of 255.
    """
    does_light, is_contrast_first, does_contrast, does_saturate, does_turn = (
        torch.rand(5, generator=draw) < 0.5
    ).tolist()
    light, contrast, saturation = (2 * torch.rand(3, generator=draw) - 1).tolist()
    turn = int(torch.randint(-_HUE, _HUE + 1, (), generator=draw))
    if does_light:
        image = _cut(image.float() + _BRIGHTNESS * light)
    if does_contrast and is_contrast_first:
        image = _cut(image.float() * (1 + _FACTOR * contrast))
    if does_saturate or does_turn:
        hue, colour, value = hsv_of(image)
        if does_saturate:
            colour = _cut(colour.float() * (1 + _FACTOR * saturation))
        image = rgb_of((hue + (turn if does_turn else 0)) % 180, colour, value)
    if does_contrast and not is_contrast_first:
        image = _cut(image.float() * (1 + _FACTOR * contrast))
    return image


def hsv_of(image: UInt8[Tensor, "3 h w"]) -> tuple[Tensor, UInt8[Tensor, "h w"], UInt8[Tensor, "h w"]]:
    """Hue in half degrees (0 to 179), saturation and value, in whole steps."""
    red, green, blue = image.float()
    value, spread = image.float().amax(dim=0), image.float().amax(dim=0) - image.float().amin(dim=0)
    safe = spread.clamp(min=1)
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    colour = (255 * spread / value.clamp(min=1)).round()
    return (30 * hue).round().long() % 180, colour.to(torch.uint8), value.to(torch.uint8)


def rgb_of(hue: Tensor, colour: UInt8[Tensor, "h w"], value: UInt8[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    channels = []
    for shift in (5, 3, 1):  # red, green, blue
        k = (shift + hue.float() / 30) % 6
        share = torch.minimum(k, 4 - k).clamp(0, 1)
        channels.append(value.float() * (1 - colour.float() / 255 * share))
    return torch.stack(channels).round().clamp(0, 255).to(torch.uint8)


def _cut(values: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    return values.clamp(0, 255).to(torch.uint8)
