"""How well the pixels of a sample agree with its voxels: the first thing to know of any data."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.geometry.frustum import FAR_M, NEAR_M
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.voxels import linear_index, nearest_voxels
from panoptic3d.structures.sample import LABEL_BAND_VOX, Sample, VoxelTruth


@dataclass(frozen=True)
class Registration:
    """How well depth and volume agree, as fractions in [0, 1]. A fraction of zero pixels is 1."""

    num_pixels: int  # with a depth between the frustum's near and far
    on_surface: float  # share of these that fall, after rounding, on a voxel with distance < 1
    class_agreement: float  # of those, with a label
    instance_agreement: float  # of those on things


@dataclass(frozen=True, eq=False)
class Landing:
    """Where the depth pixels of a sample land among the listed voxels of its truth."""

    pixel: Int64[Tensor, " n"]  # row-major numbers of the pixels with a depth between near and far
    entry: Int64[Tensor, " n"]  # position in the truth's list; meaningless where not listed
    is_listed: Bool[Tensor, " n"]


def land(sample: Sample, truth: VoxelTruth, depth_m: Float[Tensor, "h w"] | None = None) -> Landing:
    """Unproject every measured pixel and look its nearest voxel up. `depth_m` stands in for the sample's own."""
    depth = (sample.depth_m if depth_m is None else depth_m).double()
    points = unproject_depth_map(depth, sample.camera.intrinsics).view(-1, 3)
    voxels, is_inside = nearest_voxels(truth.grid.index_from_camera(points), truth.grid.shape)
    linear = linear_index(voxels, truth.grid.shape)
    pixel = ((depth >= NEAR_M) & (depth <= FAR_M)).view(-1).nonzero().squeeze(1)
    voxel = linear[pixel]
    num_listed = truth.linear_index.numel()
    entry = torch.searchsorted(truth.linear_index, voxel.int()).clamp(max=max(num_listed - 1, 0))
    is_listed = truth.linear_index[entry] == voxel if num_listed else torch.zeros_like(voxel, dtype=torch.bool)
    return Landing(pixel, entry, is_listed & is_inside[pixel])


def on_surface(landing: Landing, truth: VoxelTruth) -> Bool[Tensor, " n"]:
    """Which landed pixels hit a voxel with distance < 1."""
    if not truth.linear_index.numel():
        return torch.zeros_like(landing.is_listed)
    return landing.is_listed & (truth.distance_vox[landing.entry].abs() < LABEL_BAND_VOX)


def measure_registration(
    sample: Sample, truth: VoxelTruth, depth_m: Float[Tensor, "h w"] | None = None
) -> Registration:
    landing = land(sample, truth, depth_m)
    hits = on_surface(landing, truth)
    pixel, entry = landing.pixel[hits], landing.entry[hits]
    semantic_2d = sample.semantic_2d.view(-1)[pixel]
    is_thing = torch.isin(semantic_2d.long(), torch.tensor(sample.taxonomy.thing_ids))
    same_class = truth.semantic[entry] == semantic_2d
    same_instance = (truth.instance[entry] == sample.instance_2d.view(-1)[pixel])[is_thing]
    return Registration(len(landing.pixel), _share(hits), _share(same_class), _share(same_instance))


def _share(flags: Bool[Tensor, " n"]) -> float:
    return float(flags.double().mean()) if flags.numel() else 1.0
