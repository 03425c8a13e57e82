"""PRQ under a protocol, as a measure. The row of an image holds every segment and overlap: other rules can match again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from panoptic3d.config import fingerprint
from panoptic3d.metrics.diagnosis import Traits, traits_of
from panoptic3d.metrics.matching import Overlap
from panoptic3d.metrics.measured_sample import MeasuredSample
from panoptic3d.metrics.panoptic_quality import SampleScore, ScoredSegment, match_again, score_sample
from panoptic3d.metrics.protocol import MatchingRule, Protocol
from panoptic3d.metrics.tally import Scores, Tally, scores_of
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


@dataclass(frozen=True)
class ProtocolRecord:
    """The record of one protocol for one image."""

    fingerprint: str
    score: SampleScore
    traits: tuple[Traits, ...]


@dataclass(frozen=True)
class PanopticReconstruction:
    """The evaluation takes `record` and `scores`, which are `score` and `merge` before and after plain data."""

    protocol: Protocol
    taxonomy: Taxonomy = FRONT3D_TAXONOMY

    @property
    def name(self) -> str:
        return self.protocol.name

    def record(self, sample: MeasuredSample) -> ProtocolRecord:
        score = score_sample(sample.prediction, sample.truth, self.protocol, across_classes=True)
        traits = traits_of(score, sample.truth, sample.grid, sample.camera, sample.true_depth_m)
        return ProtocolRecord(measured_fingerprint(self.protocol), score, traits)

    def scores(self, records: Iterable[ProtocolRecord]) -> Scores:
        total = Tally.total(record.score.tally for record in records)
        return scores_of(total, self.protocol.mean_over, self.taxonomy)

    def score(self, sample: MeasuredSample) -> Mapping[str, Any]:
        return tree_of(self.record(sample))

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        scores = self.scores(map(record_of, rows))
        groups = {"": scores.all, "things ": scores.things, "stuff ": scores.stuff}
        return {f"{group}{name}": value for group, quality in groups.items() for name, value in vars(quality).items()}


def measured_fingerprint(protocol: Protocol) -> str:
    """Fingerprint of the rules that need volumes; name, matching, and means can be changed afterwards."""
    neutral = MatchingRule(rule="optimal", iou_above=0.0)
    update = {"name": "", "summary": "", "matching": neutral, "mean_over": "classes_seen"}
    return fingerprint(protocol.model_copy(update=update))


def matched_again(record: ProtocolRecord, protocol: Protocol) -> ProtocolRecord:
    """The same measurements under other rules of matching."""
    old = record.score
    if old.is_skipped:
        return record
    score = match_again(old.truth, old.prediction, old.overlaps, protocol)
    return replace(record, score=replace(score, foreign_overlaps=old.foreign_overlaps))


def tree_of(record: ProtocolRecord) -> dict[str, Any]:
    score = record.score
    return {
        "fingerprint": record.fingerprint,
        "skipped": score.is_skipped,
        "truth": [list(asdict(s).values()) for s in score.truth],  # class, instance, voxels, ignored
        "prediction": [list(asdict(s).values()) for s in score.prediction],
        "overlaps": [list(asdict(o).values()) for o in score.overlaps],  # target, prediction, intersection, union
        "foreign_overlaps": [list(asdict(o).values()) for o in score.foreign_overlaps],
        "matches": [[o.truth, o.prediction] for o in score.matches],
        "excused": list(score.excused),
        "traits": [_rounded(asdict(t).values()) for t in record.traits],  # depth, pixels, hidden share
    }


def record_of(tree: Mapping[str, Any]) -> ProtocolRecord:
    overlaps = tuple(Overlap(*row) for row in tree["overlaps"])
    by_pair = {(o.truth, o.prediction): o for o in overlaps}
    score = SampleScore(
        tuple(ScoredSegment(*row) for row in tree["truth"]),
        tuple(ScoredSegment(*row) for row in tree["prediction"]),
        overlaps,
        tuple(by_pair[row[0], row[1]] for row in tree["matches"]),
        tuple(tree["excused"]),
        tuple(Overlap(*row) for row in tree["foreign_overlaps"]),
        tree["skipped"],
    )
    return ProtocolRecord(tree["fingerprint"], score, tuple(Traits(*row) for row in tree["traits"]))


def _rounded(values: Iterable[Any]) -> Sequence[Any]:
    return [round(value, 4) if isinstance(value, float) else value for value in values]
