"""Training targets of bottom-up networks in the image: classes, heat map of centres, offsets (BUOL, section 3.1)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from torch import Tensor

from panoptic3d.structures.taxonomy import VOID, Taxonomy

SIGMA_PX = 8.0
REACH_PX = 25  # of the heat map around a centre: 3 sigma and one
SMALL_PX = 4096  # a thing of fewer pixels counts more among the classes


@dataclass(frozen=True, eq=False)
class CentreTargets:
    """Training targets of one image. Centres are in rows and columns of the image."""

    semantic: Int64[Tensor, "h w"]
    semantic_weight: Float32[Tensor, "h w"]
    heat: Float32[Tensor, "h w"]
    is_heat_asked: Bool[Tensor, "h w"]  # pixels of anything that has a class
    offsets: Float32[Tensor, "2 h w"]  # rows and columns to the centre, 0 outside of things
    is_thing: Bool[Tensor, "h w"]
    ids: tuple[int, ...]  # of the things, as in the files
    class_ids: tuple[int, ...]
    centres: Float64[Tensor, "n 2"]  # (row, column), the mean of a thing's pixels


def centre_targets(
    semantic: UInt8[Tensor, "h w"], instance: Int32[Tensor, "h w"], taxonomy: Taxonomy, small_weight: float
) -> CentreTargets:
    """The class of an id is that of its first pixel. Void and what the taxonomy ignores ask for no centre."""
    ignored = torch.tensor([VOID, *taxonomy.ignored_ids], dtype=semantic.dtype, device=semantic.device)
    classes = torch.where(torch.isin(semantic, ignored), VOID, semantic).long()
    ids, inverse = instance.unique(return_inverse=True)
    place = torch.arange(instance.numel(), device=instance.device)
    first = torch.full((len(ids),), instance.numel(), device=instance.device)
    first.scatter_reduce_(0, inverse.flatten(), place, "amin")
    class_of_id = semantic.flatten()[first].long()
    is_asked = (~torch.isin(class_of_id, ignored.long()))[inverse]
    thing_ids = torch.tensor(taxonomy.thing_ids, device=instance.device)
    of_thing = torch.isin(class_of_id, thing_ids)
    is_thing = of_thing[inverse]
    counts = torch.bincount(inverse.flatten(), minlength=len(ids))
    centres = _means(inverse, counts)
    height, width = semantic.shape
    pixels = torch.stack(
        torch.meshgrid(*(torch.arange(n, device=semantic.device) for n in (height, width)), indexing="ij")
    )
    offsets = torch.where(is_thing, centres[inverse].permute(2, 0, 1) - pixels, 0.0)
    is_small = is_thing & (counts < SMALL_PX)[inverse]
    return CentreTargets(
        semantic=classes,
        semantic_weight=torch.where(is_small, small_weight, 1.0).float(),
        heat=heat_map(centres[of_thing], (height, width)),
        is_heat_asked=is_asked,
        offsets=offsets.float(),
        is_thing=is_thing,
        ids=tuple(ids[of_thing].tolist()),
        class_ids=tuple(class_of_id[of_thing].tolist()),
        centres=centres[of_thing],
    )


def heat_map(centres: Float64[Tensor, "n 2"], size: tuple[int, int]) -> Float32[Tensor, "h w"]:
    """A Gaussian at the pixel of each centre (rounded down), the greatest where they meet."""
    heat = torch.zeros(size, device=centres.device)
    for row, column in centres.long().tolist():
        down, across = (_bump(at, n, centres.device) for at, n in zip((row, column), size, strict=True))
        heat = torch.maximum(heat, down[:, None] * across)
    return heat


def _bump(at: int, length: int, device: torch.device) -> Float32[Tensor, " n"]:
    steps = torch.arange(length, device=device) - at
    return torch.where(steps.abs() <= REACH_PX, torch.exp(-(steps**2) / (2 * SIGMA_PX**2)), 0.0)


def _means(inverse: Int64[Tensor, "h w"], counts: Int64[Tensor, " n"]) -> Float64[Tensor, "n 2"]:
    """Mean row and column of the pixels of each number."""
    height, width = inverse.shape
    rows = torch.arange(height, device=inverse.device, dtype=torch.float64)[:, None].expand(height, width)
    columns = torch.arange(width, device=inverse.device, dtype=torch.float64).expand(height, width)
    sums = [torch.bincount(inverse.flatten(), weights=w.flatten(), minlength=len(counts)) for w in (rows, columns)]
    return torch.stack(sums, dim=1) / counts[:, None]


CentreScale = Literal["halved", "exact"]


def centres_at(
    centres: Float64[Tensor, "n 2"], size: tuple[int, int], wanted: tuple[int, int], scale: CentreScale
) -> Float64[Tensor, "n 2"]:
    """Centres of an image of `size` in pixels of a map: "exact" by pixel areas, "halved" without the half pixel that this
    moves them (BUOL's; quirk 28).
    """
    factor = centres.new_tensor([b / a for a, b in zip(size, wanted, strict=True)])
    return centres * factor if scale == "halved" else (centres + 0.5) * factor - 0.5
