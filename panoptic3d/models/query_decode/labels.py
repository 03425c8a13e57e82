"""Which segment each voxel belongs to (section 8.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.structures.taxonomy import VOID, Taxonomy


@dataclass(frozen=True, eq=False)
class QueryLabels:
    """Segments 1, 2, 3, ... in the order in which queries opened them; `class_of_segment[0]` is void."""

    segment: Int64[Tensor, " n"]  # of each voxel, 0 for none
    class_of_segment: tuple[int, ...]
    segment_of_query: tuple[int, ...]  # 0 for a query that owns no voxel


def query_labels(
    logits: Float[Tensor, "n q"],
    distance_vox: Float[Tensor, " n"],
    class_ids: Int64[Tensor, " q"],
    scores: Float[Tensor, " q"],
    taxonomy: Taxonomy,
    config: QueryDecodeConfig,
) -> QueryLabels:
    """A voxel goes to the query with the largest score times mask, if its mask is likelier than not. Queries of one stuff
    class share a segment. Surface voxels that are left are filled. Queries of class void take no part.
    """
    segment = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    classes, owned, stuff = [VOID], [0] * len(class_ids), {}
    taking = (class_ids != VOID).nonzero()[:, 0]
    if not len(taking) or not len(logits):
        return QueryLabels(segment, tuple(classes), tuple(owned))
    masks = logits[:, taking].sigmoid()
    weight = masks * scores[taking]
    winner = weight.argmax(dim=1)
    is_mask = masks.gather(1, winner[:, None])[:, 0] >= 0.5
    counts = torch.bincount(winner[is_mask], minlength=len(taking)).tolist()
    for query, class_id, count in zip(taking.tolist(), class_ids[taking].tolist(), counts, strict=True):
        if not count:
            continue
        if taxonomy.is_thing(class_id) or class_id not in stuff:
            classes.append(class_id)
            owned[query] = len(classes) - 1
            if not taxonomy.is_thing(class_id):
                stuff[class_id] = owned[query]
        else:
            owned[query] = stuff[class_id]
    of_query = torch.tensor(owned, device=logits.device)[taking]
    segment = torch.where(is_mask, of_query[winner], 0)
    is_open = (distance_vox.abs() <= config.surface_vox) & (segment == 0)
    if config.fill == "accepted" and bool((of_query > 0).any()):
        winner = torch.where(of_query > 0, weight, -1.0).argmax(dim=1)
    segment = torch.where(is_open, of_query[winner], segment)
    return QueryLabels(segment, tuple(classes), tuple(owned))
