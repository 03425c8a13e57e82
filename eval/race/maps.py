"""How right the maps of a clearview checkpoint are, over the released and over varied cameras, and what they have cost.

    python -m eval.race.maps RUN_OR_CHECKPOINT --data ROOT --split val [--num 40] [--tta] [--append LOG.jsonl]

A line of JSON a call: error of depth as it is and after its best scale, share of pixels with the right class, errors of the
camera's height and tilt, distance of votes from the centres of things; and the training budget behind the weights.
`python -m eval.race.maps LOG.jsonl --svg FILE.svg` draws the lines of a log over CPU seconds.
"""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eval.race.budget import budget_of, checkpoint_of
from eval.race.curves import Curve, draw
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.clearview.targets import thing_truth, vote_truth
from panoptic3d.errors import InputError
from panoptic3d.metrics.depth import depth_scores
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.clearview.maps import SEMANTICS, VOTES, LayeredEstimate
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.sample import Sample

Figures = dict[str, float]


def measured(network: Any, samples: Iterable[Sample], tta: bool = False) -> dict[str, Figures]:
    """Means over samples, by how the camera was held."""
    rows: dict[str, list[Figures]] = {"released": [], "varied": []}
    for sample in samples:
        rows["released" if sample.camera == FRONT3D_CAMERA else "varied"].append(of_sample(network, sample, tta))
    return {name: _means(found) for name, found in rows.items() if found}


@torch.inference_mode()
def of_sample(network: Any, sample: Sample, tta: bool = False) -> Figures:
    seen = network.see(sample.image[None], (sample.camera,))
    if tta:
        seen = seen.averaged_with(network.see(sample.image[None].flip(-1), (sample.camera.mirrored(),)))
    rays = seen.rays
    if not isinstance(rays, LayeredEstimate):
        raise InputError("only a checkpoint of clearview has these maps.")
    size = (rays.depth_m.shape[1], rays.depth_m.shape[2])
    true_m, labels = _resized(sample.depth_m, size), _resized(sample.semantic_2d, size).long()
    said = seen.panoptic.maps[SEMANTICS][0].argmax(dim=0)
    figures = {"pixel_accuracy": float((said == labels)[labels > 0].float().mean())}
    depth, truth = rays.depth_m[0].numpy(), true_m.numpy()
    raw, scaled = depth_scores(depth, truth), depth_scores(depth, truth, "scale")
    if raw is not None and scaled is not None:
        figures |= {"abs_rel": raw.abs_rel, "abs_rel_scaled": scaled.abs_rel}
    return figures | _of_stance(rays, sample) | _of_votes(seen.panoptic.maps, rays, sample, true_m)


def _of_stance(rays: LayeredEstimate, sample: Sample) -> Figures:
    pose = sample.world_from_camera
    if rays.stance is None or pose is None:
        return {}
    down = -pose[2, :3].to(rays.stance.down)
    cosine = float((rays.stance.down[0] @ down).clamp(-1, 1))
    height = float(rays.stance.floor_m[0]) / float(pose[2, 3]) - 1
    return {"height_error": abs(height), "tilt_error_deg": math.degrees(math.acos(cosine))}


def _of_votes(maps: Any, rays: LayeredEstimate, sample: Sample, true_m: Tensor) -> Figures:
    """Votes go out from the true surface here: what depth adds to their error is depth's."""
    if VOTES not in maps or sample.truth is None:
        return {}
    instance = _resized(sample.instance_2d.double(), (true_m.shape[0], true_m.shape[1])).long()
    things = thing_truth(sample.truth, sample.taxonomy)
    offset_m, thing = vote_truth(sample.truth, things, true_m, instance, rays.cameras[0])
    if not bool((thing > 0).any()):
        return {}
    error = (maps[VOTES][0] - offset_m).norm(dim=0)[thing > 0]
    return {"vote_error_m": float(error.median())}


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(values[None, None], size=size, mode="nearest-exact")[0, 0]


def _means(rows: Sequence[Figures]) -> Figures:
    names = sorted({name for row in rows for name in row})
    means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
    return {"num_samples": float(len(rows))} | {name: round(value, 5) for name, value in means.items()}


def logged(path: Path, data: str, split: str, num: int | None, tta: bool = False) -> dict[str, Any]:
    checkpoint = checkpoint_of(path)
    budget = budget_of(checkpoint) or {}
    dataset = open_dataset(data, split)
    count = len(dataset) if num is None else min(num, len(dataset))
    return {
        "run": path.name,
        "step": json.loads((checkpoint / "origin.json").read_text()).get("step"),
        "cpu_s": budget.get("cpu_s"),
        "samples_seen": budget.get("samples_seen"),
        "split": f"{split} of {Path(data).name}",
        **({"tta": True} if tta else {}),
        **measured(load_network(checkpoint), (dataset[index] for index in range(count)), tta),
    }


def curves_of_log(lines: Sequence[dict[str, Any]], figure: str) -> dict[str, Curve]:
    """A line a camera, over CPU seconds of training."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for camera in ("released", "varied"):
            if figure in line.get(camera, {}):
                curves.setdefault(camera, []).append((line["cpu_s"], line[camera][figure]))
    if not curves:
        raise InputError(f"the log has no figure {figure!r}.")
    return dict(curves)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="a run, a checkpoint, or with --svg a log")
    parser.add_argument("--data")
    parser.add_argument("--split", default="val")
    parser.add_argument("--num", type=int)
    parser.add_argument("--tta", action="store_true", help="averaged with the mirror image")
    parser.add_argument("--append", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--figure", default="abs_rel")
    arguments = parser.parse_args(words)
    if arguments.svg is not None:
        lines = [json.loads(line) for line in arguments.path.read_text().splitlines() if line]
        arguments.svg.write_text(
            draw(curves_of_log(lines, arguments.figure), arguments.figure, "CPU seconds of training steps")
        )
        return 0
    if arguments.data is None:
        raise InputError("measuring needs samples; give --data ROOT.")
    line = json.dumps(logged(arguments.path, arguments.data, arguments.split, arguments.num, arguments.tta))
    print(line)
    if arguments.append is not None:
        with arguments.append.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
