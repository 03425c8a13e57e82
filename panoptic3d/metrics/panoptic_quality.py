"""Panoptic reconstruction quality of one image under a protocol: a pure function, and the record that it leaves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from panoptic3d.errors import InputError
from panoptic3d.metrics.bit_volume import BitVolume, grown, pack_voxels
from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.matching import Overlap, match
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.segments import VoxelSegment, segments_of, select_instances
from panoptic3d.metrics.tally import FN, FP, IOU, IOU_ONE, TP, N, Tally
from panoptic3d.structures.sample import Sample, VoxelTruth


@dataclass(frozen=True, eq=False)
class Truth:
    """The ground truth of one image, as a protocol sees it."""

    voxels: LabelledVoxels
    pixels: PixelLabels
    frustum: Frustum

    @classmethod
    def from_sample(cls, sample: Sample, known: Frustum | None = None) -> "Truth":
        """Truth of a sample with 3D ground truth. The `known` frustum is reused if the sample's is the same."""
        if sample.truth is None:
            raise ValueError(f"{sample.key} was read without its volumes and cannot be scored")
        pixels = PixelLabels(sample.semantic_2d.cpu().numpy(), sample.instance_2d.cpu().numpy())
        return cls(LabelledVoxels.from_truth(sample.truth), pixels, _frustum_of(sample.truth, known))

    @classmethod
    def from_stored(
        cls,
        geometry: Shaped[np.ndarray, "x y z"],
        segmentation: Shaped[np.ndarray, "2 x y z"],
        segmap: Shaped[np.ndarray, "h w 2"],
        frustum: Frustum,
    ) -> "Truth":
        """From the arrays of the released files of one frame."""
        return cls(LabelledVoxels.from_stored(geometry, segmentation), PixelLabels.from_segmap(segmap), frustum)


def _frustum_of(truth: VoxelTruth, known: Frustum | None) -> Frustum:
    mask = truth.frustum_mask.cpu().numpy()
    is_known = known is not None and (mask is known.mask or np.array_equal(mask, known.mask))
    return known if known is not None and is_known else Frustum(mask)


@dataclass(frozen=True)
class ScoredSegment:
    """A segment as it was compared: grown, and inside of the evaluation mask."""

    class_id: int
    instance_id: int
    num_voxels: int
    is_ignored: bool = False


@dataclass(frozen=True)
class SampleScore:
    """What one image adds to a score, in full: from these records alone the set can be scored again."""

    truth: tuple[ScoredSegment, ...]
    prediction: tuple[ScoredSegment, ...]
    overlaps: tuple[Overlap, ...]  # every pair of one class that shares a voxel
    matches: tuple[Overlap, ...]
    excused: tuple[int, ...] = ()  # predictions that found ignored ground truth
    foreign_overlaps: tuple[Overlap, ...] = ()  # pairs of different classes, where they were asked for
    is_skipped: bool = False  # the protocol drops such samples

    @property
    def tally(self) -> Tally:
        tally = Tally.zero()
        found_truth = {pair.truth for pair in self.matches}
        found_prediction = {pair.prediction for pair in self.matches}.union(self.excused)
        for pair in self.matches:
            tally.sums[self.truth[pair.truth].class_id, [IOU, TP]] += [_fixed_iou(pair), 1]
        for place, segment in enumerate(self.truth):
            if not segment.is_ignored:
                tally.sums[segment.class_id, [FN, N]] += [place not in found_truth, 1]
        for place, segment in enumerate(self.prediction):
            tally.sums[segment.class_id, FP] += place not in found_prediction
        return tally


def score_sample(
    prediction: LabelledVoxels, truth: Truth, protocol: Protocol, across_classes: bool = False
) -> SampleScore:
    """Compare two labelled grids of one shape by the rules of a protocol.

    `across_classes` also measures how segments of different classes overlap, for a table of confusion.
    """
    if prediction.shape != truth.voxels.shape:
        raise InputError(f"the prediction's grid is {prediction.shape}, that of the ground truth {truth.voxels.shape}.")
    selected = select_instances(protocol.truth.instances, truth.pixels)
    if protocol.without_instances == "skip" and selected is not None and not selected:
        return SampleScore((), (), (), (), is_skipped=True)
    iso_vox = protocol.surface_iso_vox
    truth_side = _Side.of(segments_of(truth.voxels, protocol.truth, iso_vox, truth.pixels), truth, protocol)
    prediction_side = _Side.of(segments_of(prediction, protocol.prediction, iso_vox, None), truth, protocol)
    score = match_again(truth_side.segments, prediction_side.segments, _overlaps(truth_side, prediction_side), protocol)
    if across_classes:
        foreign = tuple(_overlaps(truth_side, prediction_side, is_same_class=False))
        score = replace(score, foreign_overlaps=foreign)
    return score


def match_again(
    truth: Sequence[ScoredSegment], prediction: Sequence[ScoredSegment], overlaps: Iterable[Overlap], protocol: Protocol
) -> SampleScore:
    """Match and count from overlaps that were measured before: all that is left to do for a record that is read back."""
    overlaps = tuple(overlaps)
    matches = match([o for o in overlaps if not truth[o.truth].is_ignored], protocol.matching)
    taken = {pair.prediction for pair in matches}
    hidden = [o for o in overlaps if truth[o.truth].is_ignored and o.prediction not in taken]
    excused = tuple(sorted(pair.prediction for pair in match(hidden, protocol.matching)))
    return SampleScore(tuple(truth), tuple(prediction), overlaps, tuple(matches), excused)


@dataclass(frozen=True, eq=False)
class _Side:
    segments: tuple[ScoredSegment, ...]
    volumes: tuple[BitVolume, ...]

    @classmethod
    def of(cls, segments: Sequence[VoxelSegment], truth: Truth, protocol: Protocol) -> "_Side":
        mask = truth.frustum.packed(protocol.evaluation_mask)
        ranges = protocol.thickening.ranges
        volumes = [
            grown(pack_voxels(segment.shell_index, truth.voxels.shape, ranges), ranges).masked(mask)
            for segment in segments
        ]
        scored = [
            (ScoredSegment(s.class_id, s.instance_id, volume.count, s.is_ignored), volume)
            for s, volume in zip(segments, volumes, strict=True)
        ]
        kept = [pair for pair in scored if pair[0].num_voxels or protocol.empty_segments == "count"]
        return cls(tuple(segment for segment, _ in kept), tuple(volume for _, volume in kept))


def _overlaps(truth: _Side, prediction: _Side, is_same_class: bool = True) -> Iterator[Overlap]:
    for i, target in enumerate(truth.segments):
        for j, candidate in enumerate(prediction.segments):
            if (target.class_id == candidate.class_id) != is_same_class:
                continue
            intersection = truth.volumes[i].intersection_count(prediction.volumes[j])
            if intersection:
                yield Overlap(i, j, intersection, target.num_voxels + candidate.num_voxels - intersection)


def _fixed_iou(pair: Overlap) -> int:
    """IoU in units of 2^-40, rounded to the nearest."""
    return (2 * pair.intersection * IOU_ONE + pair.union) // (2 * pair.union)
