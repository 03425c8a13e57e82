"""Uni-3D on the CPU, seconds and memory above the loaded weights: from pixels to panoptic volumes by stage, beside the
reference's figures where its `timing.json` is given.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.uni3d.build import build_uni3d
from panoptic3d.models.uni3d.config import config_for_published_weights
from panoptic3d.structures.camera import FRONT3D_CAMERA

sys.path.insert(0, str(Path(__file__).resolve().parent / "method_parts"))
from stages import MemoryAbove, image_of, matrix_rate, stages

_EVALUATION = "instance_bitmaps"  # of the reference's stages: no part of a prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="DIR", help="made by import-checkpoint (default: drawn at random)")
    parser.add_argument("--image", metavar="PNG", help="320x240 (default: noise)")
    parser.add_argument("--mode", choices=("faithful", "corrected"), default="faithful")
    parser.add_argument("--scales", choices=("single", "multi"), default="single")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N", help="several: in turns")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="the one with the least CPU time counts")
    parser.add_argument("--reference", metavar="JSON", help="the timing.json of a folder of oracle data")


def measure(arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(max(arguments.threads))
    config = config_for_published_weights(arguments.mode, arguments.scales)
    pipeline = load_network(Path(arguments.weights), config=config) if arguments.weights else build_uni3d(config)
    image, memory = image_of(arguments.image), MemoryAbove()
    runs: dict[int, list[dict]] = {number: [] for number in arguments.threads}
    for _ in range(arguments.repeats):
        for number, so_far in runs.items():
            torch.set_num_threads(number)
            so_far.append(stages(pipeline, image, FRONT3D_CAMERA))
    best = {number: min(so_far, key=lambda run: run["total"]["cpu_s"]) for number, so_far in runs.items()}
    return {
        "mode": arguments.mode,
        "scales": arguments.scales,
        "weights": str(arguments.weights or "random"),
        "threads": {str(number): {"stages": run} for number, run in best.items()},
        "peak_memory_above_weights_mib": memory.peak_mib(),
        "matrix_product_gflop_per_s": round(matrix_rate(), 1),
        **(_compared(best, json.loads(Path(arguments.reference).read_text())) if arguments.reference else {}),
    }


def _compared(best: dict[int, dict], reference: dict[str, Any]) -> dict:
    """Scaled by the trunk: the reference's is the same ResNet-50, carried out by the same library."""
    result = {}
    for number, run in best.items():
        theirs = reference.get(str(number), {}).get("cpu_seconds")
        if theirs is None:
            continue
        ours = run["total"]["cpu_s"]
        total = theirs["total"] - theirs[_EVALUATION]
        machine = run["trunk"]["cpu_s"] / theirs["backbone"]
        result[str(number)] = {
            "reference_cpu_s": round(total, 2),
            "times_fewer_cpu_seconds": round(total / ours, 2),
            "this_machine_takes_times_as_long": round(machine, 2),
            "times_fewer_cpu_seconds_scaled": round(total * machine / ours, 2),
        }
    return {"beside_the_reference": result}
