"""Which things of different views are one: linear assignment against the soft votes of the other views (Panoptic Lifting,
CVPR 2023, section 3.3), with ids without limit in place of its fixed number of slots, and gates.

Each view votes for the voxels where it has a surface within reach; a vote for stuff counts against every thing.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from panoptic3d.geometry.assignment import assigned_pairs
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.things import ViewThings

Ids = list[Int64[np.ndarray, " _"]]  # of each view: the global id of each of its things


def associated(things: Sequence[ViewThings], config: FusionConfig) -> Ids:
    """Views must come in the order in which they are to be taken up."""
    ids: Ids = []
    num_ids = 0
    for number, own in enumerate(things):
        before = range(number)
        chosen = _chosen(things, ids, number, before, num_ids, config)
        fresh = chosen < 0
        chosen[fresh] = num_ids + np.arange(int(fresh.sum()))
        num_ids += int(fresh.sum())
        ids.append(chosen)
        assert len(chosen) == len(own.class_id)
    for _ in range(config.max_rounds):
        num_ids, has_moved = _round(things, ids, num_ids, config)
        if not has_moved:
            break
    return _merged(things, ids, config)


def unassociated(things: Sequence[ViewThings]) -> Ids:
    """A control: what one photo calls a thing stays one, whatever the others say."""
    starts = np.cumsum([0, *(len(own.class_id) for own in things)])
    return [np.arange(len(own.class_id)) + start for own, start in zip(things, starts, strict=False)]


def _round(things: Sequence[ViewThings], ids: Ids, num_ids: int, config: FusionConfig) -> tuple[int, bool]:
    """Each view against all others, once."""
    has_moved = False
    for number in range(len(things)):
        others = [view for view in range(len(things)) if view != number]
        chosen = _chosen(things, ids, number, others, num_ids, config)
        taken = np.unique(np.concatenate([np.zeros(0, np.int64), *(ids[view] for view in others)]))
        for row in np.flatnonzero(chosen < 0):  # a thing without a partner gets an unused id
            if ids[number][row] not in taken and ids[number][row] not in chosen:
                chosen[row] = ids[number][row]
            else:
                chosen[row], num_ids = num_ids, num_ids + 1
        has_moved |= not np.array_equal(chosen, ids[number])
        ids[number] = chosen
    return num_ids, has_moved


def _chosen(
    things: Sequence[ViewThings],
    ids: Ids,
    number: int,
    others: Sequence[int],
    num_ids: int,
    config: FusionConfig,
) -> Int64[np.ndarray, " k"]:
    """The id of each thing of a view by the votes of others; -1 for those that get none."""
    own = things[number]
    num = len(own.class_id)
    if not num or not num_ids or not len(others):
        return np.full(num, -1)
    total = np.zeros(own.num_candidates, np.float32)
    for view in others:
        total[things[view].rows] += things[view].weight
    votes, known, known_vox = np.zeros((num, num_ids)), np.zeros(num), np.zeros(num)
    rows, local = own.thing_rows, own.thing_local
    weight = own.weight_at[rows]
    is_told = total[rows] > 0
    known += np.bincount(local[is_told], weight[is_told], minlength=num)
    known_vox += np.bincount(local[is_told], minlength=num)
    for view in others:
        np.add.at(votes.T, ids[view], _votes(own, things[view], total).T)
    share = votes / np.maximum(known, 1e-12)[:, None]
    size = np.bincount(local, minlength=num)
    class_of = _majority(things, ids, others, num_ids)
    is_one_class = own.class_id[:, None] == class_of[None]
    is_allowed = (share > config.accepted_above) & (is_one_class | (share > config.accepted_of_any_class_above))
    is_allowed &= (known_vox >= config.min_known_share * size)[:, None]
    chosen = np.full(num, -1)
    mean_weight = np.bincount(local, weight, minlength=num) / np.maximum(size, 1)
    cost = -votes / np.maximum(size * np.maximum(mean_weight, 1e-12), 1e-12)[:, None]
    pairs = assigned_pairs(cost, is_allowed)
    chosen[pairs[:, 0]] = pairs[:, 1]
    return chosen


def _votes(own: ViewThings, other: ViewThings, total: np.ndarray) -> Float64[np.ndarray, "k m"]:
    """Summed over the voxels of each own thing: own weight times the share of all votes that each thing of the other has."""
    local_there = other.local_at[own.thing_rows]
    is_thing = local_there >= 0
    rows = own.thing_rows[is_thing]
    value = own.weight_at[rows].astype(np.float64) * other.weight_at[rows] / total[rows]
    num, num_other = len(own.class_id), len(other.class_id)
    key = own.thing_local[is_thing] * num_other + local_there[is_thing]
    votes = np.bincount(key, value, minlength=num * num_other).astype(np.float64)  # an empty bincount has integers
    return votes.reshape(num, num_other)


def _majority(things: Sequence[ViewThings], ids: Ids, views: Sequence[int], num_ids: int) -> Int64[np.ndarray, " j"]:
    votes = np.zeros((num_ids, 256))
    for view in views:
        np.add.at(votes, (ids[view], things[view].class_id), things[view].mass)
    return votes.argmax(axis=1)


def _merged(things: Sequence[ViewThings], ids: Ids, config: FusionConfig) -> Ids:
    """Ids of one class that cover the same voxels where both could be seen become one."""
    while True:
        num_ids = max((int(own.max(initial=-1)) for own in ids), default=-1) + 1
        overlap, union = _shared(things, ids, num_ids)
        class_of = _majority(things, ids, range(len(things)), num_ids)
        iou = np.where(union > 0, overlap / np.maximum(union, 1), 0.0)
        iou[class_of[:, None] != class_of[None]] = 0.0
        np.fill_diagonal(iou, 0.0)
        if not iou.size or iou.max() <= config.merged_above:
            return ids
        first, second = sorted(np.unravel_index(int(iou.argmax()), iou.shape))
        ids = [np.where(own == second, first, own) for own in ids]


def _shared(
    things: Sequence[ViewThings], ids: Ids, num_ids: int
) -> tuple[Float64[np.ndarray, "j j"], Float64[np.ndarray, "j j"]]:
    """Voxels that two ids share, and those that either has, over pairs of views that hold one each."""
    overlap, union = np.zeros((num_ids, num_ids)), np.zeros((num_ids, num_ids))
    for a, one in enumerate(things):
        for b, other in enumerate(things):
            if a == b or not len(one.class_id) or not len(other.class_id):
                continue
            there = other.local_at[one.thing_rows]
            is_both = there >= 0
            key = one.thing_local[is_both] * len(other.class_id) + there[is_both]
            pair = np.bincount(key, minlength=len(one.class_id) * len(other.class_id)).reshape(
                len(one.class_id), len(other.class_id)
            )
            size = np.bincount(one.thing_local[other.is_known_at[one.thing_rows]], minlength=len(one.class_id))
            back = np.bincount(other.thing_local[one.is_known_at[other.thing_rows]], minlength=len(other.class_id))
            either = size[:, None] + back[None] - pair
            index = np.ix_(ids[a], ids[b])
            np.add.at(overlap, index, pair)
            np.add.at(union, index, either)
    return overlap, union
