"""Segments from pixel classes alone: one per stuff class, and one per connected region of a thing class."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.structures.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Segments:
    masks: Bool[Tensor, "n h w"]
    class_ids: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]

    def class_map(self, num_classes: int) -> Float[Tensor, "classes h w"]:
        """1 where a pixel belongs to a segment of the class."""
        map_ = self.masks.new_zeros((num_classes, *self.masks.shape[1:]), dtype=torch.float32)
        return map_.index_add_(0, self.class_ids, self.masks.float()).clamp_(max=1)


def segments_of(probabilities: Float[Tensor, "classes h w"], taxonomy: Taxonomy, min_pixels: int) -> Segments:
    """Its score is the mean probability of its class. Things of a class that touch are one."""
    best, class_map = probabilities.max(dim=0)
    masks, classes = [], []
    for class_id in class_map.unique().tolist():
        if class_id in taxonomy.thing_ids:
            regions = connected_regions(class_map == class_id, min_pixels)
        elif class_id in taxonomy.stuff_ids and int((class_map == class_id).sum()) > min_pixels:
            regions = (class_map == class_id)[None]
        else:
            continue
        masks.append(regions)
        classes += [class_id] * len(regions)
    every = torch.cat(masks) if masks else torch.zeros((0, *class_map.shape), dtype=torch.bool, device=best.device)
    pixels = every.flatten(1).sum(dim=1).clamp(min=1)
    scores = (every * best).flatten(1).sum(dim=1) / pixels
    return Segments(every, torch.tensor(classes, dtype=torch.int64, device=best.device), scores)


def connected_regions(mask: Bool[Tensor, "h w"], min_pixels: int) -> Bool[Tensor, "n h w"]:
    """Those of more pixels; corners connect. The largest number of a region spreads until nothing changes."""
    height, width = mask.shape
    number = torch.arange(1, height * width + 1, device=mask.device, dtype=torch.float32).view(height, width) * mask
    while True:
        spread = F.max_pool2d(number[None, None], 3, stride=1, padding=1)[0, 0] * mask
        if torch.equal(spread, number):
            break
        number = spread
    numbers, counts = number[mask].unique(return_counts=True)
    return number == numbers[counts > min_pixels][:, None, None]
