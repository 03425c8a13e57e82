"""A depth network by its card on rooms, beside our own depth and the mean depth map: AbsRel before and after a fit to truth.

    python -m eval.depth.teacher CARD --data ROOT --split LIST [--num 100] [--checkpoint tiny] [--json FILE]

`fitted_to_own` needs no truth: the teacher's depth by scale and shift on our own depth, as `predict` fits what has no scale.
Where `predict` would refuse it (mirrored, say) it is counted, and left out of that row's mean.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panoptic3d.data.given_depths import DepthOptions, LoadedDepth, placed_depth
from panoptic3d.data.roots import open_root
from panoptic3d.data.splits import find_split
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import describe_machine
from panoptic3d.metrics.depth import depth_scores
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.given_depth import at_map, fitted_depth
from panoptic3d.structures.sample import Sample
from panoptic3d.teachers.onnx_depth import open_teacher
from panoptic3d.teachers.teacher import DepthTeacher

_FITTED = "fitted_to_own"
_ALIGNMENTS = ("none", "scale", "scale_shift")


@torch.inference_mode()
def maps_of(sample: Sample, network: Any, teacher: DepthTeacher) -> dict[str, np.ndarray]:
    """All at the pixels of our own depth map."""
    seen = network.see(sample.image[None], (sample.camera,))
    loaded = LoadedDepth(teacher(sample.image), DepthOptions(teacher.kind, teacher.along), is_stretched=True)
    given, own_m = placed_depth(loaded, sample.camera), seen.rays.depth_m[0]
    truth = LoadedDepth(torch.where(sample.depth_m > 0, sample.depth_m, torch.nan).numpy())
    said = at_map(seen, given)
    maps = {
        "truth": at_map(seen, placed_depth(truth, sample.camera)).nan_to_num().numpy(),
        "own": own_m.numpy(),
        "teacher": said.nan_to_num().numpy(),
    }
    try:
        return maps | {_FITTED: fitted_depth(said, own_m, "affine").depth_m.numpy()}
    except InputError as error:
        print(f"{sample.key}: {error}", file=sys.stderr)
        return maps


def scores(rows: list[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Means over images of AbsRel by alignment to the truth; the mean map is that of all but the image itself."""
    truths = np.stack([row["truth"] for row in rows])
    total, count = np.nansum(np.where(truths > 0, truths, np.nan), axis=0), (truths > 0).sum(axis=0)
    for row in rows:
        has = row["truth"] > 0
        row["mean map of the others"] = (total - row["truth"]) / np.maximum(count - has, 1)
    having = {name: [row for row in rows if name in row] for row in rows for name in row if name != "truth"}
    return {
        name: {a: float(np.mean([_abs_rel(row[name], row["truth"], a) for row in rows])) for a in _ALIGNMENTS}
        for name, rows in having.items()
    }


def _abs_rel(depth_m: np.ndarray, truth_m: np.ndarray, alignment: Any) -> float:
    found = depth_scores(depth_m, truth_m, alignment)
    if found is None:
        raise InputError("an image has no true depth; leave it out of the list.")
    return found.abs_rel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    root, teacher = open_root(options.data), open_teacher(options.card)
    network = load_network(find_checkpoint(options.checkpoint))
    keys = find_split(options.data, options.split).keys[: options.num]
    rows = [maps_of(root.read(key, has_voxels=False), network, teacher) for key in keys]
    found = {
        "machine": describe_machine(),
        "num_images": len(rows),
        "num_refused": sum(_FITTED not in row for row in rows),
        "teacher": teacher.facts(),
        "abs_rel": scores(rows),
    }
    if options.json is not None:
        write_text_atomically(options.json, json.dumps(found, indent=1, allow_nan=False) + "\n")
    for name, row in found["abs_rel"].items():
        print(f"{name:24}", *(f"{alignment} {value:.3f}" for alignment, value in row.items()))


if __name__ == "__main__":
    main()
