"""Scoring a split from prediction files: over all cores and ranks, resumable, and without ever leaving out a sample."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from panoptic3d import distributed
from panoptic3d.config import fingerprint
from panoptic3d.data.predictions import PredictedVoxels, prediction_path, read_prediction
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.splits import Split
from panoptic3d.data.volumes import Shape
from panoptic3d.engine.evaluation.fused import FusedPredictions
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.evaluation.records import SampleRecord, read_records, to_line, write_records
from panoptic3d.engine.evaluation.surface import visibility_rows, voxel_rows
from panoptic3d.engine.evaluation.truth import TrueFrame, file_stamp, read_true_frame, truth_stamp
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.measure import Measure
from panoptic3d.metrics.measured_sample import MeasuredSample
from panoptic3d.metrics.panoptic_quality import Truth, score_sample
from panoptic3d.metrics.perturbations import CHANGES, OracleName, with_oracle
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.quality_measure import PanopticReconstruction
from panoptic3d.metrics.surface_measure import SurfaceMeasure
from panoptic3d.metrics.surface_pair import StoredField, SurfacePair
from panoptic3d.metrics.voxel_iou import voxel_confusion
from panoptic3d.models.finite import NotFiniteError
from panoptic3d.resumable import Journal, Workers, resumable_map
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, FAR_VOX
from panoptic3d.structures.taxonomy import Taxonomy

_MIN_SAMPLES_A_WORKER = 4  # a process takes seconds to start


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything that decides the records of a set."""

    data: DataRoot
    predictions: Path | NetworkPredictions | FusedPredictions  # a folder of files, a network, or fused rooms
    protocols: tuple[Protocol, ...]
    oracles: tuple[OracleName, ...] = ()
    sensitivity_keys: frozenset[str] = frozenset()  # images that are also scored with small changes
    surfaces: tuple[SurfaceMeasure, ...] = ()
    measures: tuple[Measure, ...] = ()

    @cached_property
    def taxonomy(self) -> Taxonomy:
        return self.data.taxonomy

    def prediction(self, key: str, shape: Shape) -> PredictedVoxels:
        """Raises `BadFileError` that names the file."""
        if not isinstance(self.predictions, Path):
            return self.predictions.predict(self.data, key)
        return read_prediction(_path(self.predictions, key), shape)

    def stamp(self, key: str) -> str:
        """Changes when the record would."""
        parts = {
            "prediction": self._prediction_stamp(key),
            "truth": truth_stamp(self.data, key),
            "protocols": {protocol.name: fingerprint(protocol) for protocol in self.protocols},
            "oracles": self.oracles,
            "sensitivity": key in self.sensitivity_keys,
            "surfaces": {surface.name: fingerprint(surface.protocol) for surface in self.surfaces},
        }
        if self.measures:
            parts["measures"] = [repr(measure) for measure in self.measures]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _prediction_stamp(self, key: str) -> list:
        if isinstance(self.predictions, NetworkPredictions):
            return [self.predictions.stamp]
        if isinstance(self.predictions, FusedPredictions):
            return self.predictions.stamp(key)
        path = _path(self.predictions, key)
        return [str(path.resolve()), file_stamp(path)]


def _path(folder: Path, key: str) -> Path:
    scene, _, frame = key.partition("/")
    return prediction_path(folder, scene, frame)


def check_predictions_folder(folder: Path, split: Split) -> None:
    """One missing file is a failure of the method; a folder without any of them is a wrong path."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds <scene>_<frame>.npz files.")
    if not any(_path(folder, key).exists() for key in split.keys):
        expected = _path(folder, split.keys[0]).name
        raise InputError(
            f"{folder} holds no prediction of any of the {len(split)} images of the split; "
            f"files are named <scene>_<frame>.npz, such as {expected}."
        )


def evaluate_split(
    plan: EvaluationPlan,
    split: Split,
    records_path: Path | None = None,
    num_workers: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[SampleRecord]:
    """A record of every image, in the order of the split, on every rank. What is on the disk and still true is kept."""
    known = _still_true(plan, split, records_path)
    todo = distributed.shard([key for key in split.keys if key not in known])
    num_workers = min(num_workers, len(todo) // _MIN_SAMPLES_A_WORKER)
    if isinstance(plan.predictions, NetworkPredictions):  # one network a rank: more would need its memory again
        num_workers = 1
    journal = Journal[str, SampleRecord](lines=lambda key, record: [to_line(record)], path=_part(records_path))
    scored, fresh = resumable_map(partial(score_key, plan), todo, journal, Workers(num_workers)), {}
    for done, (key, record) in enumerate(scored.fresh, start=1):
        fresh[key] = record
        report(done, len(todo))
    for records in distributed.gather_objects(fresh):
        known |= records
    ordered = [known[key] for key in split.keys]
    if records_path is not None:
        if distributed.is_main():
            write_records(records_path, ordered)
            for part in _parts(records_path):
                part.unlink()
        distributed.barrier()
    return ordered


def score_key(plan: EvaluationPlan, key: str) -> SampleRecord:
    """Whatever is wrong with the files of one image becomes part of its record."""
    record = SampleRecord(key, plan.stamp(key))
    try:
        frame = read_true_frame(plan.data, key)
    except BadFileError as error:
        return replace(record, bad_truth={"reason": error.reason, "message": str(error)})
    truth = frame.truth
    try:
        file = plan.prediction(key, truth.voxels.shape)
    except (BadFileError, NotFiniteError) as error:
        file = PredictedVoxels.nothing(truth.voxels.shape)
        record = replace(record, failure={"reason": error.reason, "message": str(error)})
    prediction = labelled_of(file)
    for oracle in plan.oracles:
        prediction = with_oracle(prediction, truth.voxels, oracle)
    if not len(truth.voxels):
        record = replace(record, warnings=("empty_truth: no voxel of the ground truth carries a label",))
    sample = _measured(key, file, prediction, frame, plan.taxonomy)
    qualities = [PanopticReconstruction(protocol, plan.taxonomy) for protocol in plan.protocols]
    changed = _changes(plan, prediction, truth) if key in plan.sensitivity_keys else {}
    voxels = voxel_rows(voxel_confusion(prediction, truth.voxels, truth.frustum.mask))
    return replace(
        record,
        protocols={quality.name: quality.record(sample) for quality in qualities},
        sensitivity=changed,
        surfaces={surface.name: surface.score(sample) for surface in plan.surfaces},
        voxels=voxels,
        visibility=visibility_rows(prediction, frame),
        measures={measure.name: measure.score(sample) for measure in plan.measures},
    )


def _measured(
    key: str, file: PredictedVoxels, prediction: LabelledVoxels, frame: TrueFrame, taxonomy: Taxonomy
) -> MeasuredSample:
    """Oracles exchange labels alone: surfaces are those of the file."""
    surfaces = SurfacePair(
        frame.grid,
        StoredField(file.linear_index, file.distance_vox, DISTANCE_TRUNCATION_VOX),
        file.linear_index[file.instance > 0],
        StoredField(frame.distance.index, frame.distance.values, FAR_VOX),
    )
    return MeasuredSample(
        key,
        prediction,
        frame.truth,
        frame.grid,
        frame.camera,
        surfaces,
        scores=file.scores,
        depth_m=file.depth_m,
        true_depth_m=frame.depth_m,
        taxonomy=taxonomy,
    )


def labelled_of(voxels: PredictedVoxels) -> LabelledVoxels:
    is_labelled = (voxels.semantic != 0) | (voxels.instance != 0)
    columns = (voxels.linear_index, voxels.distance_vox, voxels.semantic, voxels.instance)
    return LabelledVoxels.checked(voxels.shape, *(column[is_labelled] for column in columns))


def _changes(plan: EvaluationPlan, prediction: LabelledVoxels, truth: Truth) -> dict[str, dict[str, list]]:
    """Protocol -> change -> rows of sums of the classes that occur: class, IoU, tp, fp, fn, n."""
    rows: dict[str, dict[str, list]] = {}
    for protocol in plan.protocols:
        rows[protocol.name] = {}
        for change in CHANGES:
            tally = score_sample(change.of_prediction(prediction), truth, change.of_protocol(protocol)).tally
            rows[protocol.name][change.name] = [[c, *tally.sums[c].tolist()] for c in tally.seen_classes]
    return rows


def _still_true(plan: EvaluationPlan, split: Split, path: Path | None) -> dict[str, SampleRecord]:
    if path is None:
        return {}
    wanted = set(split.keys)
    known = read_records([path, *_parts(path)])
    return {key: r for key, r in known.items() if key in wanted and r.stamp == plan.stamp(key)}


def _parts(records_path: Path) -> list[Path]:
    return sorted(records_path.parent.glob(f"{records_path.name}.rank*"))


def _part(records_path: Path | None) -> Path | None:
    """Where this rank notes what it has finished, one line at a time."""
    return records_path and records_path.with_name(f"{records_path.name}.rank{distributed.rank()}")
