"""The whole method as one config. Widths make its sizes; switches take single ideas out, for the ablations."""

from typing import Literal

from pydantic import Field

from panoptic3d.backbones.efficientnet_lite import EfficientNetSize
from panoptic3d.config import Config
from panoptic3d.sparse.config import SparseConfig


class FitConfig(Config):
    """Photos are scaled to about this many pixels, the aspect kept."""

    width: int = Field(default=320, ge=64)
    height: int = Field(default=240, ge=48)


class TrunkConfig(Config):
    name: EfficientNetSize = "lite0"
    width: int = Field(default=64, ge=8)  # channels of the feature pyramid


class RayConfig(Config):
    width: int = Field(default=32, ge=4)  # channels of the maps that voxels gather
    has_layout: bool = True  # the depth of the room behind the things
    has_planes: bool = True  # occupancy along each ray
    num_planes: int = Field(default=51, ge=2)
    plane_spacing_m: float = Field(default=0.12, gt=0)
    has_stance: bool = False  # gravity, height of the camera and of the ceiling, and depth along their planes


class PixelConfig(Config):
    has_votes: bool = False  # each pixel's vote for the centre of its thing


class LiftConfig(Config):
    # Cells farther than this from the surface that their pixel shows are left out; none: all of the frustum is asked.
    reach_m: float | None = Field(default=None, gt=0)
    # Cells that lie farther than this in front of the surface that their pixel shows, or behind wall, floor and ceiling, are
    # left out: most of a frustum is free space and other rooms. Hidden things lie between the two and stay.
    margin_m: float | None = Field(default=None, gt=0)
    # The margin grows by this many spreads of the pixel's depth: where the depth is unsure, more cells are asked.
    margin_spreads: float = Field(default=0, ge=0)


class VoxelNetConfig(Config):
    channels_64: tuple[int, ...] = (24, 48, 96)  # of the U-Net over the whole frustum: strides 4, 8, 16
    channels_128: int = Field(default=24, ge=4)
    channels_256: int = Field(default=16, ge=4)
    has_neighbours_256: bool = True  # else the finest voxels are refined one by one, which halves their cost
    starts_from_maps: bool = False  # occupancy, distances and votes are corrections of what the maps say by themselves
    num_classes: int = Field(default=13, ge=2)
    keep_64: float = Field(default=0.3, gt=0, lt=1)  # cells that are likelier occupied are refined
    keep_128: float = Field(default=0.3, gt=0, lt=1)
    keep_256: float = Field(default=0.3, gt=0, lt=1)
    truncation_vox: float = 3.0
    sparse: SparseConfig = SparseConfig()


class SeedConfig(Config):
    num_embedding: int = Field(default=8, ge=1)
    max_seeds: int = Field(default=24, ge=1)  # things of an image
    min_score: float = Field(default=0.25, ge=0, le=1)
    apart_cells: int = Field(default=3, ge=1)  # the window in which a seed is the strongest, in cells of stride 4
    votes: Literal["centres-and-embeddings", "centres", "embeddings"] = "centres-and-embeddings"


class DecodeConfig(Config):
    surface_vox: float = Field(default=1.0, gt=0)  # a segment must have a shell within this distance
    min_shell_voxels: int = Field(default=20, ge=0)  # smaller segments are given back to the stuff around them


class ClearviewConfig(Config):
    method: Literal["clearview"] = "clearview"
    fit: FitConfig = FitConfig()
    trunk: TrunkConfig = TrunkConfig()
    pixels: PixelConfig = PixelConfig()
    rays: RayConfig = RayConfig()
    lift: LiftConfig = LiftConfig()
    voxel_net: VoxelNetConfig = VoxelNetConfig()
    seeds: SeedConfig = SeedConfig()
    decode: DecodeConfig = DecodeConfig()
