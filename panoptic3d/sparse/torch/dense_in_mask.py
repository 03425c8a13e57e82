"""Dense convolution of nearly full sets, in a mask: above some occupancy it beats an indexed one."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.dense import from_dense, to_dense
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.weights import to_dense_weight


def conv_in_mask(
    features: Float[Tensor, "n cin"], weight: Float[Tensor, "t cin cout"], plan: Plan
) -> Float[Tensor, "n cout"]:
    """`conv3d` over the box of the set, zeros outside of the set, read at the set."""
    kernel = plan.kernel
    volume = to_dense(features, plan.fine)
    out = F.conv3d(volume, to_dense_weight(weight), padding=kernel.padding, dilation=kernel.dilation)
    return from_dense(out, plan.fine)
