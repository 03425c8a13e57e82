"""PanoRecon on the CPU, seconds and memory above the loaded weights: from pixels to panoptic volumes by stage, and one
training step of the 3D stage.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from panoptic3d.losses.voxel_objective import VoxelObjectiveConfig, VoxelTargets, voxel_terms
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import config_for_published_weights
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.camera import FRONT3D_CAMERA


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
    image = _image(arguments.image)
    weights_mib = _peak_mib()
    measured = _stages if arguments.section == "infer" else _training_step
    runs: dict[int, list[dict]] = {number: [] for number in arguments.threads}
    for _ in range(arguments.repeats):
        for number, so_far in runs.items():
            torch.set_num_threads(number)
            so_far.append(measured(pipeline, image))
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
        "peak_memory_above_weights_mib": round(_peak_mib() - weights_mib),
        "matrix_product_gflop_per_s": round(_matrix_rate(), 1),
    }


def _compared(wall_s: dict[int, float]) -> dict[str, float]:
    fewest = min(wall_s)
    return (
        {f"times_faster_than_{fewest}_threads": round(wall_s[fewest] / min(wall_s.values()), 2)}
        if len(wall_s) > 1
        else {}
    )


@torch.inference_mode()
def _stages(pipeline: Pipeline, image: torch.Tensor) -> dict[str, dict[str, float]]:
    times: dict[str, dict[str, float]] = {}

    def timed(name: str) -> Any:
        work = getattr(pipeline, name)

        def run(*given: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            result = work(*given)
            times[name] = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
            return result

        return run

    slots = ("fit", "trunk", "panoptic", "rays", "lift", "voxel_net", "decode")
    timed_pipeline = Pipeline(**{name: timed(name) for name in slots})
    timed_pipeline.decode(timed_pipeline(image, (FRONT3D_CAMERA,)))
    total = {kind: sum(stage[kind] for stage in times.values()) for kind in ("cpu_s", "wall_s")}
    return {name: {kind: round(v, 3) for kind, v in stage.items()} for name, stage in {**times, "total": total}.items()}


def _training_step(pipeline: Pipeline, image: torch.Tensor) -> dict[str, dict[str, float]]:
    """All levels of the voxel net over the lifted image, the 2D stages frozen; targets are drawn: they cost the same."""
    with torch.no_grad():
        seen = pipeline.see(image, (FRONT3D_CAMERA,))
        lifted = pipeline.lift(seen.rays, seen.panoptic)
    net, targets = pipeline.voxel_net, _drawn_targets()
    assert isinstance(net, torch.nn.Module)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.0)  # so that every round is the same step
    optimizer.zero_grad(set_to_none=True)
    marks = [_now()]
    terms = voxel_terms(net(lifted), targets, VoxelObjectiveConfig())
    marks.append(_now())
    torch.stack(list(terms.values())).sum().backward()
    marks.append(_now())
    optimizer.step()
    marks.append(_now())
    spans = dict(zip(("forward", "backward", "optimizer"), itertools.pairwise(marks), strict=True)) | {
        "total": (marks[0], marks[-1])
    }
    return {
        name: {"cpu_s": round(end[0] - start[0], 3), "wall_s": round(end[1] - start[1], 3)}
        for name, (start, end) in spans.items()
    }


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _drawn_targets() -> tuple[VoxelTargets, ...]:
    random, targets = torch.Generator().manual_seed(0), []
    for stride in (4, 2, 1):
        shape = (1, *[256 // stride] * 3)
        label = torch.randint(0, 13, shape, generator=random, dtype=torch.uint8)
        distance = torch.rand(shape, generator=random).mul_(3) if stride == 1 else None
        targets.append(VoxelTargets(label > 6, label, label, torch.ones(shape), distance))
    return tuple(targets)


def _image(path: str | None) -> torch.Tensor:
    if path is None:
        return torch.randint(0, 256, (1, 3, 240, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None]


def _matrix_rate(size: int = 2048) -> float:
    """One thread's float32 product, to compare processors by."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, best = torch.randn(size, size), float("inf")
    for _ in range(3):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    torch.set_num_threads(threads)
    return 2 * size**3 / best / 1e9


def _peak_mib() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
