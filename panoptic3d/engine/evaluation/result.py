"""Records -> the result object of the contract, with what makes a score believable beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np

from panoptic3d.config import fingerprint
from panoptic3d.data.splits import Split
from panoptic3d.engine.evaluation.records import SampleRecord
from panoptic3d.engine.evaluation.surface import visibility_scores, voxel_scores
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.machine import commit, hardware
from panoptic3d.metrics.bootstrap import intervals
from panoptic3d.metrics.diagnosis import GROUPINGS, by_number_of_things, confusion, group_targets, targets_of
from panoptic3d.metrics.measure import Measure
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.quality_measure import PanopticReconstruction
from panoptic3d.metrics.surface_measure import mean_surface
from panoptic3d.metrics.tally import ClassScore, Quality, Tally, scores_of
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

LEVEL = 0.95


def result_of(
    records: Sequence[SampleRecord],
    protocol: Protocol,
    split: Split,
    *,
    source: Mapping[str, Any],
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
    oracles: Sequence[str] = (),
    depth: Mapping[str, Any] | None = None,
    measures: Sequence[Measure] = (),
    taxonomy: Taxonomy = FRONT3D_TAXONOMY,
) -> dict[str, Any]:
    """One protocol's object of the evaluation file (docs/evaluation.md lists its keys)."""
    scored = [record for record in records if record.bad_truth is None]
    if not scored:
        raise Panoptic3dError(f"none of the {len(records)} images of the split has a ground truth that can be read.")
    scores = PanopticReconstruction(protocol, taxonomy).scores(record.protocols[protocol.name] for record in scored)
    per_scene = _sums_of_scenes(scored, protocol)
    of_scenes = intervals(np.stack(list(per_scene.values())), protocol.mean_over, LEVEL)
    failures = [{"key": r.key, **r.failure} for r in records if r.failure is not None]
    bad_truth = [{"key": r.key, **r.bad_truth} for r in records if r.bad_truth is not None]
    return {
        "protocol": protocol.name,
        "num_samples": len(scored),
        "num_failed": sum(record.failure is not None for record in scored),
        **_fractions(scores.all),
        "things": _fractions(scores.things),
        "stuff": _fractions(scores.stuff),
        "per_class": {
            taxonomy[c].name: _class_tree(s) | {"in_mean": c in scores.in_mean} for c, s in scores.per_class.items()
        },
        "split": split.describe(),
        "checkpoint": dict(checkpoint),
        "commit": commit(),
        "hardware": hardware(),
        "protocol_fingerprint": fingerprint(protocol),
        "mean_over": protocol.mean_over,
        "source": dict(source),
        "oracles": list(oracles),
        "depth": None if depth is None else dict(depth),
        "num_skipped": sum(record.protocols[protocol.name].score.is_skipped for record in scored),
        "num_bad_truth": len(bad_truth),
        "failures": failures,
        "bad_truth": bad_truth,
        "warnings": [{"key": r.key, "message": w} for r in records for w in r.warnings],
        "interval": {
            "level": LEVEL,
            "resampled": "scenes",
            "num_scenes": len(per_scene),
            **({key: [i.low, i.high] for key, i in of_scenes.items()} if of_scenes else {}),
        },
        "per_scene": {scene: _sparse_rows(sums) for scene, sums in per_scene.items()},
        "diagnosis": _diagnosis(scored, protocol, taxonomy),
        "sensitivity": _sensitivity(scored, protocol),
        "voxels": voxel_scores((record.voxels for record in scored), taxonomy),
        "visibility": visibility_scores(record.visibility for record in scored),
        "visibility_per_scene": _visibility_of_scenes(scored),
        "surfaces": _surfaces(scored),
        **({"measures": {measure.name: _measured(scored, measure) for measure in measures}} if measures else {}),
    }


def _measured(records: Sequence[SampleRecord], measure: Measure) -> dict[str, Any]:
    """Images about which a measure has nothing to say are left out, and counted."""
    missing = [record.key for record in records if measure.name not in record.measures]
    if missing:
        raise InputError(
            f"the record of {missing[0]} knows nothing of the measure {measure.name}; score the predictions."
        )
    rows = [row for record in records if (row := record.measures[measure.name]) is not None]
    return {"num_samples": len(rows), **measure.merge(rows)}


def _surfaces(records: Sequence[SampleRecord]) -> dict[str, Any]:
    names = dict.fromkeys(name for record in records for name in record.surfaces)
    return {name: mean_surface([r.surfaces[name] for r in records if name in r.surfaces]) for name in names}


def _visibility_of_scenes(records: Sequence[SampleRecord]) -> dict[str, list[list[int]]]:
    sums: dict[str, np.ndarray] = {}
    for record in records:
        if record.visibility:
            sums[record.scene] = sums.get(record.scene, 0) + np.asarray(record.visibility)
    return {scene: counts.tolist() for scene, counts in sums.items()}


def sums_from_rows(rows: Iterable[Sequence[int]]) -> np.ndarray:
    """Back from the rows of `per_scene`: class, IoU in units of 2^-40, tp, fp, fn, n."""
    sums = Tally.zero().sums
    for class_id, *values in rows:
        sums[class_id] = values
    return sums


def _sparse_rows(sums: np.ndarray) -> list[list[int]]:
    return [[class_id, *sums[class_id].tolist()] for class_id in Tally(sums).seen_classes]


def _sums_of_scenes(records: Iterable[SampleRecord], protocol: Protocol) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for record in records:
        own = record.protocols[protocol.name].score.tally.sums
        sums[record.scene] = sums.get(record.scene, 0) + own
    return sums


def _fractions(quality: Quality) -> dict[str, float]:
    return {key: getattr(quality, key) for key in ("prq", "rsq", "rrq")}


def _class_tree(score: ClassScore) -> dict[str, float | int]:
    return asdict(score)


def _diagnosis(records: Sequence[SampleRecord], protocol: Protocol, taxonomy: Taxonomy) -> dict[str, Any]:
    entries = [record.protocols[protocol.name] for record in records]
    targets = [target for entry in entries for target in targets_of(entry.score, entry.traits)]
    groups = {name: [asdict(row) for row in group_targets(targets, by)] for name, by in GROUPINGS.items()}
    crowding = by_number_of_things((entry.score for entry in entries), protocol.mean_over, taxonomy)
    pairs = confusion((entry.score for entry in entries), protocol.matching.iou_above, taxonomy)
    table: dict[str, dict[str, int]] = {}
    for (truth, answer), count in sorted(pairs.items()):
        table.setdefault(truth, {})[answer] = count
    return {
        "targets": groups,
        "number_of_things": {name: {"num_images": n, "prq": prq} for name, (n, prq) in crowding.items()},
        "confusion": table,
    }


def _sensitivity(records: Sequence[SampleRecord], protocol: Protocol) -> dict[str, Any]:
    """What small changes would do to the PRQ of the images that were scored with them."""
    tried = [record for record in records if protocol.name in record.sensitivity]
    if not tried:
        return {}
    base = Tally.total(record.protocols[protocol.name].score.tally for record in tried)
    prq = scores_of(base, protocol.mean_over).all.prq
    changes = {}
    for name in tried[0].sensitivity[protocol.name]:
        total = Tally.total(Tally(sums_from_rows(r.sensitivity[protocol.name][name])) for r in tried)
        changes[name] = scores_of(total, protocol.mean_over).all.prq - prq
    return {"num_samples": len(tried), "prq": prq, "change_of_prq": changes}
