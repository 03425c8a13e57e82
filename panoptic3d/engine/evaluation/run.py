"""One evaluation from its order to its files: what the command line calls."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from panoptic3d import distributed
from panoptic3d.data.given_depths import DepthOptions
from panoptic3d.data.roots import DataRoot, open_root, path_of
from panoptic3d.data.splits import Split, find_split
from panoptic3d.engine.evaluation.depth_supply import depth_supply
from panoptic3d.engine.evaluation.fused import FusedPredictions, prq_apart, scene_scores, tables_of_fusion
from panoptic3d.engine.evaluation.html import write_report
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.evaluation.records import SampleRecord, read_records, rescored
from panoptic3d.engine.evaluation.result import result_of
from panoptic3d.engine.evaluation.score import EvaluationPlan, check_predictions_folder, evaluate_split
from panoptic3d.engine.evaluation.tables import (
    geometry_tables,
    main_tables,
    tables_of,
    to_latex,
    to_markdown,
    to_terminal,
)
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import device_named
from panoptic3d.metrics.labelled import NUM_CLASSES
from panoptic3d.metrics.measure import Measure, load_measure
from panoptic3d.metrics.perturbations import OracleName
from panoptic3d.metrics.protocol import Protocol, load_protocol
from panoptic3d.metrics.surface_measure import SurfaceMeasure
from panoptic3d.metrics.surface_protocol import load_surface_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY


@dataclass(frozen=True)
class EvaluationOrder:
    """What a person asked for, word by word."""

    data: str | None
    split: str
    predictions: str | None
    rescore: str | None
    protocols: tuple[str, ...]
    checkpoint: str | None = None
    depth: str | None = None  # `truth`, a card, or a folder: handed in beside the photos
    depth_options: DepthOptions = DepthOptions()  # noqa: RUF009  frozen
    fused: str | None = None  # a folder of `panoptic3d fuse --data`
    compat: str | None = None  # of PQ_scene
    trust: tuple[str, ...] = ()  # packages whose code the checkpoint may name
    oracles: tuple[OracleName, ...] = ()
    surfaces: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    num_sensitivity: int = 0
    num_workers: int = 1
    records: str | None = None
    is_anew: bool = False
    json: str | None = None
    markdown: str | None = None
    latex: str | None = None
    html: str | None = None
    num_worst: int = 12
    device: Literal["auto", "cpu", "cuda"] = "auto"
    open_data: Callable[[str], DataRoot] = open_root

    @property
    def records_path(self) -> Path | None:
        if self.records is not None:
            return Path(self.records)
        return Path(self.json).with_suffix(".records.jsonl") if self.json is not None else None


def carry_out(order: EvaluationOrder) -> int:
    """Exit code 0, or 1 where a part of the ground truth could not be read and the score is not that of the split."""
    protocols = tuple(load_protocol(name) for name in order.protocols)
    measures = tuple(load_measure(name) for name in order.measures)
    _check_names([protocol.name for protocol in protocols], "protocols")
    _check_names([measure.name for measure in measures], "measures")
    device_named(order.device, "scores are counted on the CPU, so leave it out")  # fails before any work
    for path in (order.json, order.markdown, order.latex, order.html, order.records):
        _check_folder(path)
    _check_apart(order)
    distributed.start(torch.device("cpu"))  # a score is counted on the CPU; a GPU only ever holds predicted volumes
    split = find_split(path_of(order.data or "."), order.split)
    data = None if order.data is None else order.open_data(order.data)
    if order.rescore is not None:
        plan, records = None, _rescored(Path(order.rescore), split, protocols)
    else:
        assert data is not None, "the command line asks for --data"
        plan, records = _scored(order, data, split, protocols, measures)
    source = {"predictions": order.predictions or order.fused, "rescored_from": order.rescore}
    network = plan.predictions if plan is not None and isinstance(plan.predictions, NetworkPredictions) else None
    checkpoint = network.facts if network is not None else {}
    depth = None if network is None or network.depth is None else network.depth.facts
    results = [
        result_of(
            records,
            protocol,
            split,
            source=source,
            checkpoint=checkpoint,
            oracles=order.oracles,
            depth=depth,
            measures=measures,
            taxonomy=FRONT3D_TAXONOMY if data is None else data.taxonomy,
        )
        for protocol in protocols
    ]
    if plan is not None and isinstance(plan.predictions, FusedPredictions):
        left_out = {record.key for record in records if record.bad_truth is not None}
        scene = scene_scores(plan.predictions, plan.data, split, order.compat, left_out)
        for result, protocol in zip(results, protocols, strict=True):
            result["fusion"] = {"views": prq_apart(plan.predictions, records, protocol), "scene": scene}
    if distributed.is_main():
        _write(order, plan, records, results, measures)
    num_bad = results[0]["num_bad_truth"]
    if num_bad:
        first = results[0]["bad_truth"][0]
        raise Panoptic3dError(
            f"{num_bad} of {len(split)} images could not be scored because of their ground truth, the first: "
            f"{first['message']} The numbers above are not those of the split."
        )
    return 0


def _scored(
    order: EvaluationOrder,
    data: DataRoot,
    split: Split,
    protocols: tuple[Protocol, ...],
    measures: tuple[Measure, ...],
) -> tuple[EvaluationPlan, list[SampleRecord]]:
    if len(data.taxonomy) > NUM_CLASSES:
        raise InputError(
            f"{data.path} has {len(data.taxonomy)} classes, void included, and scores count {NUM_CLASSES} at most; "
            "map them to fewer."
        )
    if data.layout == "front3d":
        data.shared_mask(data.shared_grid)  # without it no image can be scored: say so before the first one
    chosen = (
        frozenset(split.keys[:: max(1, len(split) // order.num_sensitivity)]) if order.num_sensitivity else frozenset()
    )
    surfaces = tuple(SurfaceMeasure(load_surface_protocol(name)) for name in order.surfaces)
    plan = EvaluationPlan(data, _predictions(order, split), protocols, order.oracles, chosen, surfaces, measures)
    if order.is_anew and order.records_path is not None and distributed.is_main():
        order.records_path.unlink(missing_ok=True)
    distributed.barrier()
    records = evaluate_split(plan, split, order.records_path, order.num_workers, _progress())
    return plan, records


def _predictions(order: EvaluationOrder, split: Split) -> Path | NetworkPredictions | FusedPredictions:
    if order.fused is not None:
        fused = FusedPredictions(Path(order.fused))
        _ = fused.fused  # a wrong index fails before the first image
        return fused
    if order.checkpoint is not None:
        device = device_named(order.device, "leave it out", distributed.local_rank())
        depth = None if order.depth is None else depth_supply(order.depth, order.depth_options)
        predictions = NetworkPredictions(find_checkpoint(order.checkpoint), device, depth, order.trust)
        _ = predictions.network  # a wrong checkpoint fails before the first image
        return predictions
    assert order.predictions is not None
    check_predictions_folder(Path(order.predictions), split)
    return Path(order.predictions)


def _rescored(path: Path, split: Split, protocols: Sequence[Protocol]) -> list[SampleRecord]:
    if not path.exists():
        raise InputError(f"the records {path} are not there; give the file that `evaluate --records` wrote.")
    known = read_records([path])
    missing = [key for key in split.keys if key not in known]
    if missing:
        raise InputError(
            f"{path} has no record of {len(missing)} images of the split, such as {missing[0]}; score them."
        )
    return [rescored(known[key], protocols) for key in split.keys]


def _write(
    order: EvaluationOrder,
    plan: EvaluationPlan | None,
    records: Sequence[SampleRecord],
    results: Sequence[dict[str, Any]],
    measures: Sequence[Measure],
) -> None:
    every_table = [table for result in results for table in tables_of(result, measures)]
    has_sensitivity = any(result["sensitivity"] for result in results)
    shown = every_table if has_sensitivity else [*main_tables(results), *geometry_tables(results[0], measures)]
    shown = [*shown, *(tables_of_fusion(result["fusion"]) for result in results if "fusion" in result)]
    print(to_terminal(shown))
    if order.json is not None:
        tree = results[0] if len(results) == 1 else list(results)
        write_text_atomically(order.json, json.dumps(tree, indent=1, allow_nan=False) + "\n")
    if order.markdown is not None:
        write_text_atomically(order.markdown, to_markdown(every_table))
    if order.latex is not None:
        write_text_atomically(order.latex, to_latex(main_tables(results)))
    if order.html is not None:
        write_report(Path(order.html), plan, records, results, order.num_worst, measures)


def _check_names(names: Sequence[str], what: str) -> None:
    if len(set(names)) != len(names):
        raise InputError(f"two {what} bear the same name ({', '.join(names)}); give each a name of its own.")


def _check_folder(path: str | None) -> None:
    """Before hours of scoring, not after."""
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise InputError(f"the folder of {path} does not exist; make it, or give another path.")


def _check_apart(order: EvaluationOrder) -> None:
    """No result may take the place of another one, or of the list of samples."""
    outputs = (order.json, order.markdown, order.latex, order.html, order.records_path)
    names = [os.path.realpath(path) for path in (order.split, *outputs) if path is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} would be written twice or is the list of samples; give each file a name of its own.")


def _progress() -> Callable[[int, int], None]:
    """A line that counts, on a terminal only."""

    def report(done: int, total: int) -> None:
        if sys.stderr.isatty() and distributed.is_main():
            print(f"\r{done}/{total} images", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return report
