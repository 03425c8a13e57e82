"""One channel an instance: the probability of its mask, at the resolution of the depth map."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.models.surface_lift.config import Overflow
from panoptic3d.structures.instances import Instances2D


def instance_channels(
    instances: Instances2D, size: tuple[int, int], num_channels: int, overflow: Overflow
) -> Float[Tensor, "channels h w"]:
    """Channel 0 is 1 where no mask says anything. Confident detection j has channel j + 1, as long as there are channels.

    With more, `overflow` decides: only the first ones, or channels 1, 2, ... are dealt out again and the greater probability
    stands.
    """
    masks = instances.confident.masks
    num_ids = num_channels - 1
    channels = masks.new_zeros(num_channels, *size)
    if len(masks):
        masks = F.interpolate(masks[:, None], size=size, mode="nearest")[:, 0]
        if overflow == "first":
            masks = masks[:num_ids]
        for start in range(0, len(masks), num_ids):
            some = masks[start : start + num_ids]
            channels[1 : 1 + len(some)] = torch.maximum(channels[1 : 1 + len(some)], some)
    channels[0] = (masks.sum(dim=0) == 0).to(channels.dtype) if len(masks) else 1.0
    return channels
