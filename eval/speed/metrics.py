"""CPU seconds an image of every PRQ protocol, volumes in memory, beside the brute-force twin in the same run.

Without --oracle-root the images are rooms of boxes on the full 256^3 grid, the predictions those rooms moved by a voxel.
"""

import argparse
import json
import resource
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panoptic3d.metrics.brute_force import score_by_brute_force
from panoptic3d.metrics.evaluation_mask import Frustum, evaluation_mask
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.panoptic_quality import Truth, score_sample
from panoptic3d.metrics.protocol import built_in_protocols, load_protocol

BUDGET_S = 0.1

# Stored geometry, segmentation and label map of the ground truth; distance, class and instance of the prediction.
Case = tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--oracle-root", metavar="DIR", help="real frames: a folder with expected.json and cases/")
    parser.add_argument("--real-root", metavar="DIR", help="the folder with the released frames of --oracle-root")
    parser.add_argument("--images", type=int, default=4, help="how many images (default 4)")
    parser.add_argument("--repeat", type=int, default=3, help="best of so many (default 3)")
    parser.add_argument("--no-twin", action="store_true", help="leave the brute force out (seconds an image)")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    rows = []
    for case, frustum in _cases(arguments):
        rows.append(_measure_fast(case, frustum, arguments.repeat))
        del case  # a released frame is 256 MB: hold one at a time
    peak_memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    twins = [] if arguments.no_twin else [_measure_twin(case, frustum) for case, frustum in _cases(arguments)]
    fast = {name: [row[name] for row in rows] for name in ("truth", "prediction", *built_in_protocols())}
    reading = np.array(fast["truth"]) + np.array(fast["prediction"])
    return {
        "num_images": len(rows),
        "images": [row["id"] for row in rows],
        "unit": "CPU seconds an image, one thread, best of the repeats",
        "volumes_to_voxels": {name: _summary(fast[name]) for name in ("truth", "prediction")},
        "score_from_voxels": {name: _summary(fast[name]) for name in built_in_protocols()},
        "score_from_volumes": {name: _summary(list(reading + fast[name])) for name in built_in_protocols()},
        "brute_force_twin": {name: _summary([row[name] for row in twins]) for name in built_in_protocols() if twins},
        "budget_s": BUDGET_S,
        "is_within_budget": all(max(reading + fast[name]) <= BUDGET_S for name in built_in_protocols()),
        "memory_mb": {
            "volumes": max(row["volumes_mb"] for row in rows),  # of one image: its ground truth and its prediction
            "scoring": max(row["scoring_mb"] for row in rows),  # the most that scoring held beside them
            "process_peak": peak_memory_mb,  # before the twin ran; where rooms are made, it is theirs
        },
    }


def _measure_fast(case: Case, frustum: Frustum, repeat: int) -> dict[str, Any]:
    identifier, (geometry, segmentation, segmap), volumes = case
    protocols = {name: load_protocol(name) for name in built_in_protocols()}
    for protocol in protocols.values():
        frustum.packed(protocol.evaluation_mask)  # once a data set, not once an image
    row: dict[str, Any] = {"id": identifier}
    row["truth"], truth = _timed(lambda: Truth.from_stored(geometry, segmentation, segmap, frustum), repeat)
    row["prediction"], prediction = _timed(lambda: LabelledVoxels.from_volumes(*volumes), repeat)
    for name, protocol in protocols.items():
        row[name], _ = _timed(lambda p=protocol: score_sample(prediction, truth, p), repeat)
    row["volumes_mb"] = round(sum(v.nbytes for v in (geometry, segmentation, segmap, *volumes)) / 2**20)
    tracemalloc.start()
    truth = Truth.from_stored(geometry, segmentation, segmap, frustum)
    for protocol in protocols.values():
        score_sample(LabelledVoxels.from_volumes(*volumes), truth, protocol)
    row["scoring_mb"] = round(tracemalloc.get_traced_memory()[1] / 2**20)
    tracemalloc.stop()
    return row


def _measure_twin(case: Case, frustum: Frustum) -> dict[str, float]:
    _, (geometry, segmentation, segmap), volumes = case
    aligned = (geometry[::-1, ::-1], segmentation[0, ::-1, ::-1], segmentation[1, ::-1, ::-1])
    pixels = PixelLabels.from_segmap(segmap)
    row = {}
    for name in built_in_protocols():
        protocol = load_protocol(name)
        mask = evaluation_mask(frustum.mask, protocol.evaluation_mask)
        row[name], _ = _timed(lambda m=mask, p=protocol: score_by_brute_force(volumes, aligned, pixels, m, p), 1)
    return row


def _timed(run: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    times = []
    result = None
    for _ in range(repeat):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return min(times), result


def _summary(seconds: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(seconds)), 5), "worst": round(float(np.max(seconds)), 5)}


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[Case, Frustum]]:
    if arguments.oracle_root:
        yield from _real_cases(Path(arguments.oracle_root), Path(arguments.real_root), arguments.images)
    else:
        yield from _box_cases(arguments.images)


def _real_cases(oracle_root: Path, real_root: Path, count: int) -> Iterator[tuple[Case, Frustum]]:
    """Cases whose ground truth is as released."""
    frustum = Frustum(np.ascontiguousarray(np.load(real_root / "frustum_mask.npz")["mask"][::-1, ::-1]))
    cases = [c for c in json.loads((oracle_root / "expected.json").read_text())["cases"] if not c["gt_edits"]]
    for case in cases[:count]:
        folder, frame = real_root / case["scene"], case["frame"]
        names = (f"geometry_{frame}.npz", f"segmentation_{frame}.mapped.npz", f"segmap_{frame}.mapped.npz")
        truth = tuple(np.load(folder / name)["data"] for name in names)
        with np.load(oracle_root / case["file"]) as file:
            prediction = (file["distance_field"], file["semantic"], file["instance"])
        yield (case["id"], (truth[0], truth[1], truth[2]), prediction), frustum
        del truth, prediction


def _box_cases(count: int) -> Iterator[tuple[Case, Frustum]]:
    from panoptic3d.rooms.analytic.boxes import random_room, render

    for seed in range(count):
        frame = render(random_room(seed))
        stored = [
            np.ascontiguousarray(v.numpy()[::-1, ::-1]) for v in (frame.distance_vox, frame.semantic, frame.instance)
        ]
        segmentation = np.stack([stored[1].astype(np.int32), stored[2].astype(np.int32)])
        segmap = np.stack([frame.semantic_2d.numpy(), frame.instance_2d.numpy()], axis=-1).astype(np.uint32)
        moved = [np.roll(v.numpy(), 1, axis=2) for v in (frame.distance_vox, frame.semantic, frame.instance)]
        prediction = (np.minimum(moved[0], 3).astype(np.float16), moved[1], moved[2].astype(np.uint16))
        truth = (stored[0].astype(np.float64), segmentation, segmap)
        yield (f"box room {seed}", truth, prediction), Frustum(frame.frustum_mask.numpy())
