"""Surface and labels of the fused grid from what the views say at its candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from scipy.spatial import KDTree

from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.ids import Ids
from panoptic3d.predictor.fusion.things import ViewThings
from panoptic3d.predictor.fusion.views import ViewVotes
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, LABEL_BAND_VOX
from panoptic3d.structures.taxonomy import Taxonomy

_NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class FusedSurface:
    """At the candidates."""

    is_surface: Bool[np.ndarray, " n"]
    distance_vox: Float32[np.ndarray, " n"]
    weight: Float32[np.ndarray, " n"]  # of all views that look at the voxel


def fused_surface(
    candidates: Int64[np.ndarray, "n 3"], votes: Sequence[ViewVotes], config: FusionConfig
) -> FusedSurface:
    """A voxel is surface where enough of the weight of the views that look at it says so: a ray that passes through votes
    against. The field is measured anew from the weighted mean of the views' surface points.
    """
    num = len(candidates)
    total, agreeing, way = np.zeros(num), np.zeros(num), np.zeros((num, 3))
    for view in votes:
        strength = view.weight * view.occupied
        total[view.rows] += view.weight
        agreeing[view.rows] += strength
        way[view.rows] += strength[:, None].astype(np.float64) * view.offset_vox
    is_surface = agreeing > config.occupied_above * np.maximum(total, 1e-12)
    way = (way / np.maximum(agreeing, 1e-12)[:, None]).astype(np.float32)
    distance = np.full(num, DISTANCE_TRUNCATION_VOX, np.float32)
    on = np.flatnonzero(is_surface)
    distance[on] = np.minimum(np.linalg.norm(way[on], axis=1), np.nextafter(np.float32(LABEL_BAND_VOX), np.float32(0)))
    rest = np.flatnonzero(~is_surface)
    if len(on) and len(rest):
        tree = KDTree(candidates[on] + way[on])
        found, _ = tree.query(candidates[rest], distance_upper_bound=DISTANCE_TRUNCATION_VOX)
        distance[rest] = np.clip(found, LABEL_BAND_VOX, DISTANCE_TRUNCATION_VOX)
    return FusedSurface(is_surface, distance, total.astype(np.float32))


@dataclass(frozen=True, eq=False)
class FusedLabels:
    """At the candidates, and of each id: 0 is stuff, from 1 on things."""

    semantic: UInt8[np.ndarray, " n"]
    number: Int64[np.ndarray, " n"]
    share: Float32[np.ndarray, " n"]  # of the votes that the label has


def fused_labels(
    votes: Sequence[ViewVotes],
    things: Sequence[ViewThings],
    ids: Ids,
    is_labelled: Bool[np.ndarray, " n"],
    taxonomy: Taxonomy,
    kept_above: float = 0.0,
) -> FusedLabels:
    """The label with the most votes of each voxel; a thing has the class that most of its votes name. One that wins less than
    `kept_above` of the voxels that name it is what another view made up: it loses its votes.
    """
    first = len(taxonomy)
    places = np.full(len(is_labelled), -1)
    places[is_labelled] = np.arange(int(is_labelled.sum()))
    num = int(is_labelled.sum())
    labels = np.full((len(votes), num), _NO_LABEL, np.int32)
    strength = np.zeros((len(votes), num), np.float32)
    class_votes = np.zeros((max((int(own.max(initial=-1)) for own in ids), default=-1) + 1, len(taxonomy)))
    for number, (view, own, own_ids) in enumerate(zip(votes, things, ids, strict=True)):
        value = view.weight * np.maximum(view.occupied, 1e-6)
        told = np.flatnonzero(view.is_near & (view.semantic > 0) & (places[view.rows] >= 0))
        local = own.local_at[view.rows[told]]
        name = view.semantic[told].astype(np.int32)
        is_thing = local >= 0
        name[is_thing] = first + own_ids[local[is_thing]]
        labels[number, places[view.rows[told]]] = name
        strength[number, places[view.rows[told]]] = value[told]
        np.add.at(class_votes, (own_ids[local[is_thing]], view.semantic[told][is_thing]), value[told][is_thing])
    best, share = _winner(labels, strength)
    if kept_above > 0:
        labels[np.isin(labels, _lost(labels, best, first, kept_above))] = _NO_LABEL
        best, share = _winner(labels, strength)
    semantic, result = np.zeros(len(is_labelled), np.uint8), np.zeros(len(is_labelled), np.int64)
    class_of = np.concatenate((np.arange(first), class_votes.argmax(axis=1)))
    there = np.flatnonzero(is_labelled)
    semantic[there] = np.where(best >= 0, class_of[best], 0)
    result[there] = np.where(best >= first, best - first + 1, 0)
    shares = np.zeros(len(is_labelled), np.float32)
    shares[there] = share
    return FusedLabels(semantic, result, shares)


def _lost(labels: np.ndarray, best: np.ndarray, first: int, kept_above: float) -> np.ndarray:
    """Things that win too few of the voxels that any view gives them."""
    num = int(labels.max(initial=0)) + 1
    named = np.zeros(num, np.int64)
    for row, label in enumerate(labels):
        is_new = (label >= first) & ~(labels[:row] == label).any(axis=0)  # a voxel counts once
        named += np.bincount(label[is_new], minlength=num)
    won = np.bincount(best[best >= 0], minlength=num)
    return np.flatnonzero((named > 0) & (won < kept_above * named))


def _winner(labels: np.ndarray, strength: np.ndarray) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """The label of the largest summed strength in each column; of equal ones the view that comes first decides."""
    best, best_sum = np.full(labels.shape[1], _NO_LABEL, np.int64), np.zeros(labels.shape[1], np.float32)
    for label in labels:
        total = (strength * (labels == label)).sum(axis=0)
        is_better = (label >= 0) & (total > best_sum)
        best[is_better], best_sum[is_better] = label[is_better], total[is_better]
    return best, best_sum / np.maximum(strength.sum(axis=0), 1e-12)
