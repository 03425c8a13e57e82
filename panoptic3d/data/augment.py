"""Augmentation in training. Image, camera, and volume change together, so that they still agree."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, UInt8
from pydantic import Field
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample, VoxelTruth


class AugmentConfig(Config):
    flip: float = Field(default=0.5, ge=0, le=1)  # the share of samples that are mirrored left to right
    brightness: float = Field(default=0.3, ge=0, lt=1)  # factors are drawn from 1 - x to 1 + x
    contrast: float = Field(default=0.3, ge=0, lt=1)
    saturation: float = Field(default=0.3, ge=0, lt=1)
    tint: float = Field(default=0.1, ge=0, lt=1)  # of each colour channel
    noise: float = Field(default=4.0, ge=0)  # the highest standard deviation, in steps of 255
    crop: float = Field(default=0.0, ge=0, lt=1)  # the smallest window is 1 - x as wide as the image
    crop_share: float = Field(default=0.5, ge=0, le=1)


def augmented(sample: Sample, config: AugmentConfig, draw: torch.Generator) -> Sample:
    """Draws the same numbers whatever is switched on, so that one switch does not change what another does."""
    does_flip, does_crop = (torch.rand(2, generator=draw) < torch.tensor([config.flip, config.crop_share])).tolist()
    window, color = torch.rand(3, generator=draw), 2 * torch.rand(6, generator=draw) - 1
    noise = torch.randn(sample.image.shape, generator=draw) * config.noise * float(torch.rand((), generator=draw))
    if does_crop and config.crop > 0:
        sample = cropped(sample, 1 - config.crop * float(window[0]), float(window[1]), float(window[2]))
    if does_flip:
        sample = flipped(sample)
    return replace(sample, image=_recolored(sample.image, config, color, noise))


def flipped(sample: Sample) -> Sample:
    """The mirrored room, in a world mirrored along its x axis: what was up and how high the camera stands stay true."""
    return replace(
        sample,
        image=sample.image.flip(2),
        camera=sample.camera.flipped(),
        depth_m=sample.depth_m.flip(1),
        semantic_2d=sample.semantic_2d.flip(1),
        instance_2d=sample.instance_2d.flip(1),
        room_2d=None if sample.room_2d is None else sample.room_2d.flip(1),
        truth=None if sample.truth is None else _flipped_truth(sample.truth),
        world_from_camera=None if sample.world_from_camera is None else _flipped_pose(sample.world_from_camera),
    )


def cropped(sample: Sample, share: float, left: float, top: float) -> Sample:
    """A window of `share` of each side, whose place is given by two numbers in [0, 1], scaled to the size of the image. The
    volume stays as it is: the camera sees less of it.
    """
    height, width = sample.depth_m.shape
    size = (max(round(height * share), 1), max(round(width * share), 1))
    row, column = round((height - size[0]) * top), round((width - size[1]) * left)
    camera = sample.camera.cropped(column, row, size[1], size[0]).resized(width, height)

    def window(values: Tensor, mode: str) -> Tensor:
        part = values[..., row : row + size[0], column : column + size[1]].double()  # exact for any id
        part = part[None] if part.ndim == 3 else part[None, None]
        options = {"antialias": True} if mode == "bilinear" else {}
        grown = F.interpolate(part, size=(height, width), mode=mode, **options)
        return (grown[0] if values.ndim == 3 else grown[0, 0]).to(values.dtype)

    return replace(
        sample,
        image=window(sample.image, "bilinear"),
        camera=camera,
        depth_m=window(sample.depth_m, "nearest-exact"),
        semantic_2d=window(sample.semantic_2d, "nearest-exact"),
        instance_2d=window(sample.instance_2d, "nearest-exact"),
        room_2d=None if sample.room_2d is None else window(sample.room_2d, "nearest-exact"),
    )


def _flipped_pose(world_from_camera: Float64[Tensor, "4 4"]) -> Float64[Tensor, "4 4"]:
    """Mirrored on both sides, so that it stays a rotation and a place."""
    sign = world_from_camera.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return sign[:, None] * world_from_camera * sign


def _flipped_truth(truth: VoxelTruth) -> VoxelTruth:
    nx, ny, nz = truth.grid.shape
    linear, slab = truth.linear_index.long(), ny * nz
    # Slabs of one i change places, and within each the order stays: from the list's end, slab by slab.
    edges = torch.searchsorted(linear, torch.arange(nx + 1) * slab)
    sizes = edges.diff().flip(0)
    order = torch.arange(len(linear)) + (edges[:-1].flip(0) - sizes.cumsum(0) + sizes).repeat_interleave(sizes)
    mirrored = linear[order] + ((2 * torch.arange(nx) - nx + 1) * slab).repeat_interleave(sizes)
    x, y, z = truth.grid.camera_index
    start = truth.weight_start
    return replace(
        truth,
        grid=VoxelGrid(truth.grid.shape, truth.grid.voxel_size_m, (nx - 1 - x, y, z)),
        linear_index=mirrored.to(truth.linear_index.dtype),
        distance_vox=truth.distance_vox[order],
        semantic=truth.semantic[order],
        instance=truth.instance[order],
        weight=truth.weight.flip(0),
        weight_start=(nx - start[0] - truth.weight.shape[0], start[1], start[2]),
        frustum_mask=truth.frustum_mask.flip(0),
        coarse_occupancy={stride: cells.flip(0) for stride, cells in truth.coarse_occupancy.items()},
    )


def _recolored(
    image: UInt8[Tensor, "3 h w"], config: AugmentConfig, color: Float[Tensor, "6"], noise: Float[Tensor, "3 h w"]
) -> UInt8[Tensor, "3 h w"]:
    values = image.float()
    grey = values.mean(dim=0, keepdim=True)
    values = grey + (values - grey) * (1 + config.saturation * color[0])
    middle = values.mean()
    values = middle + (values - middle) * (1 + config.contrast * color[1])
    values = values * (1 + config.brightness * color[2]) * (1 + config.tint * color[3:])[:, None, None]
    return (values + noise).round().clamp(0, 255).to(torch.uint8)
