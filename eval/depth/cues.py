"""Learning depth from cues that are right up to scale and shift, beside true depth and terms that take cues for metric.

    python -m eval.depth.cues --train ROOT --test ROOT [ROOT ...] --json FILE [--steps 600] [--num 100]

Three networks, alike at first (trunk from ImageNet, clearview's ray stage at half the resolution), see the same
samples in one order: `truth` with true depth and the terms of the shipped method; `cues` with every depth replaced by
a * D + b (a log-uniform in 0.5 to 2, b in -0.5 to 0.5 m, drawn for each sample) and the terms of cues; `plain` with
the same cues taken for metric. AbsRel on test views after scale and shift were fitted to the truth: these networks
have no scale to be right about.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from panoptic3d.data.roots import open_root
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.method import ClearviewMethod, nearest_pixels
from panoptic3d.files import write_text_atomically
from panoptic3d.losses import cue_terms, ray_terms
from panoptic3d.machine import describe_machine
from panoptic3d.metrics.depth import depth_scores
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.sample import Sample

Way = Literal["truth", "cues", "plain"]
_NETWORK = {"fit": {"width": 160, "height": 120}, "neck": {"width": 24}, "rays": {"width": 16, "has_planes": False}}
_RATE, _WARM = 1e-3, 50
_BATCH = 2  # samples a step, one after the other: their sizes differ


def as_cue(sample: Sample) -> Sample:
    """The same for each sample, whenever it is drawn."""
    draw = torch.rand(2, generator=torch_generator(0, "cue", sample.key))
    scale, shift = math.exp(math.log(4) * float(draw[0]) - math.log(2)), float(draw[1]) - 0.5
    cue = scale * sample.depth_m + shift
    return replace(sample, depth_m=torch.where((sample.depth_m > 0) & (cue > 0.05), cue, 0.0), depth_kind="affine")


def learnt(way: Way, root: str, num_steps: int) -> ClearviewMethod:
    torch.manual_seed(0)
    config = ClearviewTrainingConfig.model_validate({"network": _NETWORK, "imagenet": True})
    method, data = ClearviewMethod(config), open_root(root)
    keys, order = data.keys(), torch.Generator().manual_seed(0)
    parameters = [p for part in ("trunk", "2d") for module in method.parts()[part] for p in module.parameters()]
    optimizer = torch.optim.AdamW(list(dict.fromkeys(parameters)), lr=_RATE, weight_decay=1e-2)
    for step in range(num_steps):
        rate = min(1.0, (step + 1) / _WARM) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / num_steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * rate
        for _ in range(_BATCH):
            key = keys[int(torch.randint(len(keys), (), generator=order))]
            sample = data.read(key, has_voxels=False)
            (cost_of(way, method, sample if way == "truth" else as_cue(sample)) / _BATCH).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        optimizer.zero_grad()
    return method


def cost_of(way: Way, method: ClearviewMethod, sample: Sample) -> torch.Tensor:
    rays = method.network.see(sample.image[None], (sample.camera,)).rays
    depth, weights = rays.depth_m[0], method.config.weights
    known = nearest_pixels(sample.depth_m[None], rays.depth_m)[0]
    if way == "cues":
        error = cue_terms.cue_error(depth, known, known > 0, sample.depth_kind)
        terms = cue_terms.cue_term(error, known > 0), cue_terms.cue_slope_term(error, known > 0)
        return weights.cue * terms[0] + weights.cue_slope * terms[1]
    return weights.depth_error * ray_terms.depth_error_term(depth, known) + weights.slope * ray_terms.slope_term(
        depth, known
    )


@torch.inference_mode()
def aligned_errors(method: ClearviewMethod, roots: Sequence[str], num: int) -> np.ndarray:
    """AbsRel of each view after a fit to the truth."""
    method.eval()
    views = [(data, key) for data in map(open_root, roots) for key in list(data.keys())]
    errors = []
    for data, key in views[:num]:
        sample = data.read(key, has_voxels=False)
        depth = method.network.see(sample.image[None], (sample.camera,)).rays.depth_m
        truth = nearest_pixels(sample.depth_m[None], depth)[0].numpy()
        found = depth_scores(depth[0].numpy(), truth, "scale_shift")
        errors.append(math.nan if found is None else found.abs_rel)
    return np.array(errors)


def paired(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Second minus first, with a bootstrap over views."""
    gap = second - first
    draws = np.random.default_rng(0).integers(0, len(gap), (2000, len(gap)))
    low, high = np.quantile(gap[draws].mean(axis=1), (0.025, 0.975))
    return {"difference": float(gap.mean()), "low": float(low), "high": float(high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True, nargs="+")
    parser.add_argument("--json", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--num", type=int, default=100)
    options = parser.parse_args()
    errors, seconds = {}, {}
    for way in ("truth", "cues", "plain"):
        start = time.process_time()
        errors[way] = aligned_errors(learnt(way, options.train, options.steps), options.test, options.num)
        seconds[way] = round(time.process_time() - start, 1)
        print(way, f"aligned AbsRel {errors[way].mean():.4f}", f"{seconds[way]} CPU s", flush=True)
    found = {
        "machine": describe_machine(),
        "steps": options.steps,
        "samples_a_step": _BATCH,
        "num_views": len(errors["truth"]),
        "aligned_abs_rel": {way: float(values.mean()) for way, values in errors.items()},
        "cues_by_truth": float(errors["cues"].mean() / errors["truth"].mean()),
        "plain_minus_cues": paired(errors["cues"], errors["plain"]),
        "plain_minus_truth": paired(errors["truth"], errors["plain"]),
        "cpu_s": seconds,
    }
    write_text_atomically(options.json, json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(json.dumps(found["plain_minus_cues"]), found["cues_by_truth"])


if __name__ == "__main__":
    main()
