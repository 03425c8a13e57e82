"""From queries to the segments of an image, their depth and their class map (section 4)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.models.mask_transformer.config import MergeConfig
from panoptic3d.structures.taxonomy import VOID, Taxonomy


@dataclass(frozen=True, eq=False)
class Kept:
    """Queries that name a class with enough confidence, in the order of the queries."""

    rows: Int64[Tensor, " n"]
    class_ids: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Merged:
    """Segments 1, 2, 3, ... in the order in which they were opened; `class_of_segment[0]` is void.

    `class_map` holds at most one channel of a pixel: its query's class, with score times mask. Pixels without a segment have
    no depth. `segment_of_query` is 0 for a kept query that was dropped.
    """

    segment: Int64[Tensor, "h w"]
    depth_m: Float[Tensor, "h w"]
    class_map: Float[Tensor, "classes h w"]
    class_of_segment: tuple[int, ...]
    segment_of_query: Int64[Tensor, " n"]


def kept_queries(class_logits: Float[Tensor, "q classes"], config: MergeConfig) -> Kept:
    scores, labels = class_logits.softmax(dim=1).max(dim=1)
    is_kept = (labels != class_logits.shape[1] - 1) & (scores > config.min_score)
    if config.void == "dropped":
        is_kept &= labels != VOID
    rows = is_kept.nonzero()[:, 0]
    return Kept(rows, labels[rows], scores[rows])


def merged(
    kept: Kept,
    masks: Float[Tensor, "n h w"],
    depth_m: Float[Tensor, "n h w"],
    taxonomy: Taxonomy,
    depth_scale_m: float,
    config: MergeConfig,
) -> Merged:
    """`masks` (probabilities) and `depth_m` are those of the kept queries at the resolution of the result.

    A pixel goes to the query with the largest score times mask. A query whose mask loses too many of its pixels to others is
    dropped. Queries of one stuff class share a segment. Where any stuff was accepted, pixels that nobody got go to it.
    """
    size, num_classes = masks.shape[1:], len(taxonomy)
    segment = torch.zeros(size, dtype=torch.int64, device=masks.device)
    depth = masks.new_zeros(size)
    class_map = masks.new_zeros(num_classes, *size)
    class_of_segment, segment_of_query, stuff = [VOID], [0] * len(masks), {}
    weight = kept.scores[:, None, None] * masks
    winner = weight.argmax(dim=0) if len(masks) else segment
    classes = kept.class_ids.tolist()

    def paint(query: int, where: Bool[Tensor, "h w"]) -> None:
        segment[where] = segment_of_query[query]
        depth[where] = depth_m[query][where]
        class_map[classes[query]][where] = weight[query][where]

    for query, class_id in enumerate(classes):
        where = _accepted(winner == query, masks[query] >= 0.5, config)
        if where is None:
            continue
        number = None if taxonomy.is_thing(class_id) else stuff.get(class_id)
        if number is None:
            class_of_segment.append(class_id)
            number = len(class_of_segment) - 1
        if not taxonomy.is_thing(class_id):
            stuff[class_id] = number
        segment_of_query[query] = number
        paint(query, where)
    accepted = [q for q, c in enumerate(classes) if segment_of_query[q] and not taxonomy.is_thing(c)]
    if accepted:
        is_open, likeliest = segment == 0, weight[accepted].argmax(dim=0)
        for place, query in enumerate(accepted):
            paint(query, is_open & (likeliest == place))
    return Merged(
        segment=segment,
        depth_m=depth.clamp(0, depth_scale_m),
        class_map=class_map,
        class_of_segment=tuple(class_of_segment),
        segment_of_query=torch.tensor(segment_of_query, dtype=torch.int64, device=masks.device),
    )


def _accepted(
    is_won: Bool[Tensor, "h w"], is_own: Bool[Tensor, "h w"], config: MergeConfig
) -> Bool[Tensor, "h w"] | None:
    """The query's pixels, or None where it has none or has lost too many. What it won counts even where its own mask is
    faint (section 11, 10).
    """
    both = is_won & is_own
    num_won, num_own = int(is_won.sum()), int(is_own.sum())
    if not bool(both.any()) or num_won / num_own < config.min_overlap:
        return None
    return both
