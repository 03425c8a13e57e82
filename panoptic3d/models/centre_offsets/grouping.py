"""Peaks of a heat map, and which pixel belongs to which peak (Panoptic-DeepLab; section 9.2 of BUOL's specification)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from panoptic3d.models.centre_offsets.config import CentreOffsetsConfig

LABEL_DIVISOR = 1000  # a panoptic id is class * 1000 + number within the class


@dataclass(frozen=True, eq=False)
class Grouped:
    """Instances of one image: only centres that own pixels, in row-major order of the centres."""

    centres: Int64[Tensor, "n 2"]  # (row, column)
    heat: Float[Tensor, " n"]
    class_ids: Int64[Tensor, " n"]
    instance: Int64[Tensor, "h w"]  # 1 for the first centre, 0 outside of every thing


def peaks(heat: Float[Tensor, "h w"], config: CentreOffsetsConfig) -> tuple[Int64[Tensor, "n 2"], Float[Tensor, " n"]]:
    """(row, column) and height of each peak in row-major order. A plateau is several peaks."""
    above = torch.where(heat > config.min_heat, heat, -1.0)
    window = config.peak_window_px
    largest = F.max_pool2d(above[None, None], window, stride=1, padding=window // 2)[0, 0]
    at = ((above == largest) & (above > 0)).nonzero()
    values = heat[at[:, 0], at[:, 1]]
    if len(at) >= config.max_centres:
        is_kept = values > values.sort(descending=True).values[config.max_centres - 1]
        at, values = at[is_kept], values[is_kept]
    return at, values


def grouped(
    class_map: Int64[Tensor, "h w"],
    is_thing: Bool[Tensor, "h w"],
    heat: Float[Tensor, "h w"],
    offsets: Float[Tensor, "2 h w"],
    config: CentreOffsetsConfig,
) -> Grouped:
    """A thing's pixel belongs to the peak that is nearest to where its offset points; an instance has its pixels' class."""
    centres, values = peaks(heat, config)
    if not len(centres):
        no_ids = class_map.new_zeros(0)
        return Grouped(centres, values, no_ids, torch.zeros_like(class_map))
    height, width = heat.shape
    rows = torch.arange(height, dtype=heat.dtype, device=heat.device)[:, None] + offsets[0]
    columns = torch.arange(width, dtype=heat.dtype, device=heat.device) + offsets[1]
    pointed_at = torch.stack((rows, columns), dim=-1)[is_thing]
    nearest = torch.cdist(pointed_at, centres.to(heat.dtype), compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
    num_classes = int(class_map.max()) + 1
    votes = torch.bincount(nearest * num_classes + class_map[is_thing], minlength=len(centres) * num_classes)
    votes = votes.view(len(centres), num_classes)
    has_pixels = votes.sum(dim=1) > 0
    number = torch.where(has_pixels, has_pixels.cumsum(dim=0), 0)
    instance = torch.zeros_like(class_map)
    instance[is_thing] = number[nearest]
    return Grouped(centres[has_pixels], values[has_pixels], votes[has_pixels].argmax(dim=1), instance)


def running_numbers(class_ids: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """1 for the first instance of each class, 2 for its second."""
    same = class_ids[:, None] == class_ids[None]
    return same.tril().sum(dim=1)


def panoptic_ids(
    of: Grouped, class_map: Int64[Tensor, "h w"], num_classes: int, config: CentreOffsetsConfig
) -> Int32[Tensor, "h w"]:
    """class * 1000 + number for things, class * 1000 for stuff of enough pixels, 0 elsewhere."""
    ids = F.pad(of.class_ids * LABEL_DIVISOR + running_numbers(of.class_ids), (1, 0))[of.instance]
    rest = of.instance == 0
    counts = torch.bincount(class_map[rest], minlength=num_classes)
    return torch.where(rest & (counts[class_map] >= config.min_stuff_px), class_map * LABEL_DIVISOR, ids).int()
