"""Terms of queries: each is a sum over matched pairs of query and target, 0 without any (Uni-3D, section 7.2).

Masks are compared at points instead of cells: in [0, 1] from border to border, read bilinearly, zero outside.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Points = Float[Tensor, "*n points 2"]  # (x, y)
_EPS_M = 1e-6


def read_points(maps: Float[Tensor, "n h w"], points: Float[Tensor, "n points 2"]) -> Float[Tensor, "n points"]:
    """Each map at its points."""
    grid = 2 * points[:, None] - 1
    return F.grid_sample(maps[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0, 0]


def grid_points(num_points: int) -> Float[Tensor, "points 2"]:
    """Cell centres of the largest square grid with at most `num_points` points, x fastest."""
    side = int(num_points**0.5)
    axis = (torch.arange(side) + 0.5) / side
    return torch.stack((axis.expand(side, -1), axis[:, None].expand(-1, side)), dim=2).flatten(0, 1)


def uncertain_points(
    logits: Float[Tensor, "n h w"],
    num_points: int,
    oversample: float,
    share: float,
    generator: torch.Generator,
) -> Float[Tensor, "n points 2"]:
    """Points where each mask is least sure, of `oversample` times as many at random, and fresh ones at random: `share` of the
    former (PointRend, Kirillov et al., CVPR 2020).
    """
    num_kept = int(share * num_points)
    drawn = _random(len(logits), int(oversample * num_points), generator, logits.device)
    doubt = -read_points(logits, drawn).abs()
    kept = doubt.topk(num_kept, dim=1).indices
    chosen = drawn.gather(1, kept[:, :, None].expand(-1, -1, 2))
    return torch.cat((chosen, _random(len(logits), num_points - num_kept, generator, logits.device)), dim=1)


def random_points(num_points: int, generator: torch.Generator, device: torch.device) -> Float[Tensor, "points 2"]:
    return _random(1, num_points, generator, device)[0]


def _random(num_maps: int, num_points: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand((num_maps, num_points, 2), generator=generator, device=generator.device).to(device)


def query_class_term(
    logits: Float[Tensor, "q classes"], labels: Int64[Tensor, " q"], no_object_weight: float
) -> Float[Tensor, ""]:
    """Cross entropy of every query, normalised by the weights; the last class is "no object"."""
    weight = logits.new_ones(logits.shape[1])
    weight[-1] = no_object_weight
    return F.cross_entropy(logits, labels, weight)


def mask_term(logits: Float[Tensor, "m points"], is_inside: Float[Tensor, "m points"]) -> Float[Tensor, ""]:
    """Binary cross entropy at the points, a mean for each pair."""
    return F.binary_cross_entropy_with_logits(logits, is_inside, reduction="none").mean(dim=1).sum()


def dice_term(logits: Float[Tensor, "m points"], is_inside: Float[Tensor, "m points"]) -> Float[Tensor, ""]:
    """1 minus the overlap, which does not depend on how large the mask is."""
    mask = logits.sigmoid()
    overlap = 2 * (mask * is_inside).sum(dim=1)
    return (1 - (overlap + 1) / (mask.sum(dim=1) + is_inside.sum(dim=1) + 1)).sum()


def segment_depth_term(depth_m: Float[Tensor, "m h w"], truth_m: Float[Tensor, "m h w"]) -> Float[Tensor, ""]:
    """Scale-invariant logarithmic error plus relative error, over the pixels of each segment that were measured (> 0)."""
    is_measured = truth_m > 0
    count = is_measured.sum(dim=(1, 2)).clamp(min=1)
    depth, truth = depth_m.clamp(min=_EPS_M), truth_m.clamp(min=_EPS_M)
    error = (truth.log() - depth.log()) * is_measured
    relative = (1 - depth / truth).square() * is_measured
    spread = error.square().sum(dim=(1, 2)) / count - error.sum(dim=(1, 2)).square() / count.square()
    return (spread + _root(relative.sum(dim=(1, 2)) / count)).sum()


def query_voxel_term(
    logits: Float[Tensor, "n m"], is_inside: Bool[Tensor, "n m"], weight: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Binary cross entropy of voxels and matched queries, times the weight of the voxel: a mean for each query."""
    if not len(logits):
        return logits.sum()
    entropy = F.binary_cross_entropy_with_logits(logits, is_inside.to(logits.dtype), reduction="none")
    return (entropy * weight[:, None]).sum() / len(logits)


def _root(square: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Without the infinite slope at 0."""
    is_zero = square == 0
    return torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, square).sqrt())
