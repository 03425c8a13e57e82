"""PanoRecon on the CPU, seconds and memory above the loaded weights: from pixels to panoptic volumes by stage, and one
training step of the 3D stage.
"""

import argparse
import sys
from pathlib import Path

import torch

from panoptic3d.losses.voxel_objective import VoxelObjectiveConfig, VoxelTargets, voxel_terms
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import config_for_published_weights
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera

sys.path.insert(0, str(Path(__file__).resolve().parent / "method_parts"))
from stages import MemoryAbove, Seconds, image_of, matrix_rate, now, spans, stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="DIR", help="made by import-checkpoint (default: drawn at random)")
    parser.add_argument("--image", metavar="PNG", help="320x240 (default: noise)")
    parser.add_argument("--mode", choices=("faithful", "corrected"), default="faithful")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1], metavar="N", help="several: in turns, and compared"
    )
    parser.add_argument("--section", choices=("infer", "train"), default="infer")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="the one with the least CPU time counts")


def measure(arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(max(arguments.threads))
    config = config_for_published_weights(arguments.mode)
    pipeline = load_network(Path(arguments.weights), config=config) if arguments.weights else build_panorecon(config)
    image, memory = image_of(arguments.image), MemoryAbove()
    measured = stages if arguments.section == "infer" else _training_step
    runs: dict[int, list[dict]] = {number: [] for number in arguments.threads}
    for _ in range(arguments.repeats):
        for number, so_far in runs.items():
            torch.set_num_threads(number)
            so_far.append(measured(pipeline, image, FRONT3D_CAMERA))
    best = {number: min(so_far, key=lambda run: run["total"]["cpu_s"]) for number, so_far in runs.items()}
    return {
        "section": arguments.section,
        "mode": arguments.mode,
        "weights": str(arguments.weights or "random"),
        "threads": {
            str(number): {"stages": run, "wall_s_of_all": [each["total"]["wall_s"] for each in runs[number]]}
            for number, run in best.items()
        },
        **_compared({number: run["total"]["wall_s"] for number, run in best.items()}),
        "peak_memory_above_weights_mib": memory.peak_mib(),
        "matrix_product_gflop_per_s": round(matrix_rate(), 1),
    }


def _compared(wall_s: dict[int, float]) -> dict[str, float]:
    fewest = min(wall_s)
    return (
        {f"times_faster_than_{fewest}_threads": round(wall_s[fewest] / min(wall_s.values()), 2)}
        if len(wall_s) > 1
        else {}
    )


def _training_step(pipeline: Pipeline, image: torch.Tensor, camera: Camera) -> dict[str, Seconds]:
    """All levels of the voxel net over the lifted image, the 2D stages frozen; targets are drawn: they cost the same."""
    with torch.no_grad():
        seen = pipeline.see(image, (camera,))
        lifted = pipeline.lift(seen.rays, seen.panoptic)
    net, targets = pipeline.voxel_net, _drawn_targets()
    assert isinstance(net, torch.nn.Module)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.0)  # so that every round is the same step
    optimizer.zero_grad(set_to_none=True)
    marks = [now()]
    terms = voxel_terms(net(lifted), targets, VoxelObjectiveConfig())
    marks.append(now())
    torch.stack(list(terms.values())).sum().backward()
    marks.append(now())
    optimizer.step()
    marks.append(now())
    return spans(marks, ("forward", "backward", "optimizer"))


def _drawn_targets() -> tuple[VoxelTargets, ...]:
    random, targets = torch.Generator().manual_seed(0), []
    for stride in (4, 2, 1):
        shape = (1, *[256 // stride] * 3)
        label = torch.randint(0, 13, shape, generator=random, dtype=torch.uint8)
        distance = torch.rand(shape, generator=random).mul_(3) if stride == 1 else None
        targets.append(VoxelTargets(label > 6, label, label, torch.ones(shape), distance))
    return tuple(targets)
