"""BUOL on the CPU, seconds and memory above the loaded weights: from pixels to panoptic volumes by stage."""

import argparse
import sys
from pathlib import Path

import torch

from panoptic3d.models.buol.build import build_buol
from panoptic3d.models.buol.config import config_for_published_weights
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.structures.camera import FRONT3D_CAMERA

sys.path.insert(0, str(Path(__file__).resolve().parent / "method_parts"))
from stages import MemoryAbove, image_of, matrix_rate, stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="DIR", help="made by import-checkpoint (default: drawn at random)")
    parser.add_argument("--image", metavar="PNG", help="320x240 (default: noise)")
    parser.add_argument("--mode", choices=("faithful", "corrected"), default="faithful")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N", help="several: in turns")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="the one with the least CPU time counts")


def measure(arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(max(arguments.threads))
    config = config_for_published_weights(arguments.mode)
    pipeline = load_network(Path(arguments.weights), config=config) if arguments.weights else build_buol(config)
    image, memory = image_of(arguments.image), MemoryAbove()
    rates = [matrix_rate()]
    runs: dict[int, list[dict]] = {number: [] for number in arguments.threads}
    for _ in range(arguments.repeats):
        for number, so_far in runs.items():
            torch.set_num_threads(number)
            so_far.append(stages(pipeline, image, FRONT3D_CAMERA))
        rates.append(matrix_rate())
    best = {number: min(so_far, key=lambda run: run["total"]["cpu_s"]) for number, so_far in runs.items()}
    return {
        "mode": arguments.mode,
        "weights": str(arguments.weights or "random"),
        "threads": {
            str(number): {"stages": run, "cpu_s_of_all": [each["total"]["cpu_s"] for each in runs[number]]}
            for number, run in best.items()
        },
        "peak_memory_above_weights_mib": memory.peak_mib(),
        "matrix_product_gflop_per_s": [round(rate, 1) for rate in rates],
    }
