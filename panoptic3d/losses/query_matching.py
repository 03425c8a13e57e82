"""Match queries with targets by the assignment of least cost (Uni-3D, section 7.1)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.geometry.assignment import pairs_of_all


class QueryMatchingConfig(Config):
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0


@torch.no_grad()
def matching_cost(
    class_logits: Float[Tensor, "q classes"],
    mask_logits: Float[Tensor, "q points"],
    class_ids: Int64[Tensor, " t"],
    is_inside: Float[Tensor, "t points"],
    config: QueryMatchingConfig,
) -> Float[Tensor, "q t"]:
    """Cost of assigning a target to a query, from its class and its mask. Masks are values at the same points."""
    probability = class_logits.softmax(dim=1)[:, class_ids]
    num_points = mask_logits.shape[1]
    inside, outside = F.softplus(-mask_logits), F.softplus(mask_logits)
    entropy = (inside @ is_inside.t() + outside @ (1 - is_inside).t()) / num_points
    mask = mask_logits.sigmoid()
    overlap = 2 * mask @ is_inside.t()
    dice = 1 - (overlap + 1) / (mask.sum(dim=1)[:, None] + is_inside.sum(dim=1) + 1)
    return config.mask_weight * entropy - config.class_weight * probability + config.dice_weight * dice


def assigned(cost: Float[Tensor, "q t"]) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Queries and their targets, by ascending target. With fewer queries than targets some targets stay without.

    Costs that are not finite count as very high: the objective, and not the matching, finds a diverging network out.
    """
    values = cost.detach().double().nan_to_num(nan=1e12, posinf=1e12, neginf=-1e12).clamp(-1e12, 1e12)
    queries, targets = torch.from_numpy(pairs_of_all(values.cpu().numpy())).unbind(1)
    order = targets.argsort()
    return queries[order].to(cost.device), targets[order].to(cost.device)
