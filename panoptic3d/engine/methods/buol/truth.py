"""2D ground truth of a batch, at the network's input size and at the size of its lifted maps."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.data.centre_targets import CentreTargets, centre_targets
from panoptic3d.engine.methods.buol.config import BuolObjectiveConfig
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.taxonomy import Taxonomy

TRUE_LOGIT = 20.0  # logit for a class that the ground truth states


@dataclass(frozen=True, eq=False)
class PhotoTruth:
    large: CentreTargets  # as the network sees the image
    small: CentreTargets  # as it lifts
    depth_m: Float[Tensor, "h w"]  # as it lifts

    @property
    def has_depth(self) -> Bool[Tensor, "h w"]:
        return self.depth_m != 0


@torch.no_grad()
def photo_truth(
    batch: Batch,
    member: int,
    large: tuple[int, int],
    small: tuple[int, int],
    taxonomy: Taxonomy,
    config: BuolObjectiveConfig,
) -> PhotoTruth:
    """Sizes are (height, width)."""
    semantic, instance = batch.semantic_2d[member], batch.instance_2d[member]
    seen, lifted = (
        centre_targets(nearest(semantic, size), nearest(instance, size), taxonomy, config.small_thing_weight)
        for size in (large, small)
    )
    return PhotoTruth(seen, lifted, nearest(batch.depth_m[member], small))


def nearest(map_: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize: the pixel under the centre of each target pixel, so 1, 3, 5, ... at half the size."""
    if tuple(map_.shape) == size:
        return map_
    rows, columns = (
        ((2 * torch.arange(m, device=map_.device) + 1) * n) // (2 * m) for n, m in zip(map_.shape, size, strict=True)
    )
    return map_[rows[:, None], columns]


def class_logits(truth: CentreTargets, num_classes: int) -> Float[Tensor, "classes h w"]:
    return TRUE_LOGIT * F.one_hot(truth.semantic, num_classes).permute(2, 0, 1).float()
