"""Where a score comes from: by distance, size, visibility and crowding, and which classes are taken for which.

Everything here is made of records, without a second look at the volumes. A false positive has no depth and no size of a
target, so the groups of targets show what was found and how well it fits, and only groups of images show a full PRQ.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from panoptic3d.geometry.visibility import is_occluded
from panoptic3d.metrics.matching import Overlap
from panoptic3d.metrics.panoptic_quality import SampleScore, Truth
from panoptic3d.metrics.tally import MeanOver, Tally, scores_of
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

_MARGIN_M = 0.05  # the shell of a visible surface is labelled up to a voxel behind it


@dataclass(frozen=True)
class Traits:
    """Properties of one target, in the order of the score's targets."""

    depth_m: float  # median over its voxels
    num_pixels: int  # that the image shows of it
    hidden_share: float | None  # of its voxels behind what the image shows; None without a depth map


def traits_of(
    score: SampleScore, truth: Truth, grid: VoxelGrid, camera: Camera, depth_m: Float32[np.ndarray, "h w"] | None
) -> tuple[Traits, ...]:
    voxels = truth.voxels
    coords = np.stack(np.unravel_index(voxels.linear_index, voxels.shape), axis=1).astype(np.float32)
    points = grid.camera_from_index(torch.from_numpy(coords))
    hidden = None
    if depth_m is not None:
        behind = torch.from_numpy(np.where(depth_m > 0, depth_m + _MARGIN_M, 0).astype(np.float32))
        hidden = is_occluded(points, behind, camera.intrinsics.float()).numpy()
    made = []
    for segment in score.truth:
        is_own = voxels.instance == segment.instance_id
        if segment.instance_id == 0:
            is_own = voxels.semantic == segment.class_id
        pixels = truth.pixels.instance == segment.instance_id
        if segment.instance_id == 0:
            pixels = truth.pixels.semantic == segment.class_id
        depth = float(np.median(points[:, 2].numpy()[is_own])) if is_own.any() else 0.0
        share = None if hidden is None else float(hidden[is_own].mean()) if is_own.any() else 1.0
        made.append(Traits(depth, int(pixels.sum()), share))
    return tuple(made)


@dataclass(frozen=True)
class Target:
    """One target of one image with what became of it."""

    class_id: int
    num_voxels: int
    traits: Traits
    iou: float | None  # of its match


@dataclass(frozen=True)
class GroupRow:
    name: str
    num_targets: int
    found: float  # share of the targets with a match
    fit: float  # mean IoU of the matches
    found_times_fit: float  # IoU summed over matches, over targets


def targets_of(score: SampleScore, traits: Sequence[Traits]) -> list[Target]:
    iou = {pair.truth: pair.iou for pair in score.matches}
    pairs = enumerate(zip(score.truth, traits, strict=True))
    return [Target(s.class_id, s.num_voxels, t, iou.get(place)) for place, (s, t) in pairs if not s.is_ignored]


def _by_depth(target: Target) -> str:
    return _bin(target.traits.depth_m, (1.5, 2.5, 3.5), "{} m")


def _by_size(target: Target) -> str:
    return _bin(target.num_voxels, (1000, 4000, 16000), "{} voxels")


def _by_visibility(target: Target) -> str:
    share = target.traits.hidden_share
    if target.traits.num_pixels == 0:
        return "no pixel in the image"
    if share is None:
        return "in the image"
    return "more than half hidden" if share > 0.5 else "at most half hidden"


GROUPINGS: dict[str, Callable[[Target], str]] = {
    "depth": _by_depth,
    "size": _by_size,
    "visibility": _by_visibility,
}


def group_targets(targets: Iterable[Target], grouping: Callable[[Target], str]) -> list[GroupRow]:
    groups: dict[str, list[float | None]] = {}
    for target in targets:
        groups.setdefault(grouping(target), []).append(target.iou)
    return [_row(name, ious) for name, ious in sorted(groups.items())]


def _row(name: str, ious: Sequence[float | None]) -> GroupRow:
    hits = [iou for iou in ious if iou is not None]
    fit = sum(hits) / len(hits) if hits else 0.0
    return GroupRow(name, len(ious), len(hits) / len(ious), fit, sum(hits) / len(ious))


def by_number_of_things(
    scores: Iterable[SampleScore], mean_over: MeanOver, taxonomy: Taxonomy = FRONT3D_TAXONOMY
) -> dict[str, tuple[int, float]]:
    """Group -> number of images and their PRQ."""
    groups: dict[str, list[Tally]] = {}
    for score in scores:
        things = sum(taxonomy.is_thing(s.class_id) and not s.is_ignored for s in score.truth)
        groups.setdefault(_bin(things, (1, 3, 6), "{} things"), []).append(score.tally)
    return {
        name: (len(tallies), scores_of(Tally.total(tallies), mean_over).all.prq)
        for name, tallies in sorted(groups.items())
    }


def confusion(
    scores: Iterable[SampleScore], iou_above: float, taxonomy: Taxonomy = FRONT3D_TAXONOMY
) -> Counter[tuple[str, str]]:
    """(class of the target, class of the prediction that covers it best) of every target; `nothing` where no prediction of
    any class overlaps it by more than the threshold."""
    counts: Counter[tuple[str, str]] = Counter()
    for score in scores:
        best: dict[int, Overlap] = {}
        for pair in (*score.overlaps, *score.foreign_overlaps):
            if pair.iou > iou_above and (pair.truth not in best or pair.iou > best[pair.truth].iou):
                best[pair.truth] = pair
        for place, segment in enumerate(score.truth):
            if not segment.is_ignored:
                taken = score.prediction[best[place].prediction].class_id if place in best else None
                answer = "nothing" if taken is None else taxonomy[taken].name
                counts[taxonomy[segment.class_id].name, answer] += 1
    return counts


def _bin(value: float | int, edges: Sequence[float | int], unit: str) -> str:
    """A name that sorts as the bins do."""
    place = sum(value > edge for edge in edges)
    low = edges[place - 1] if place else None
    high = edges[place] if place < len(edges) else None
    text = f"up to {high:g}" if low is None else f"above {low:g}" if high is None else f"{low:g} to {high:g}"
    return f"{place + 1}: {unit.format(text)}"
