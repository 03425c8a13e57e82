"""CPU seconds of a network's slots, one after the other, and what to scale them by."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.prediction import Prediction

Seconds = dict[str, float]


@torch.inference_mode()
def stages(pipeline: Pipeline, image: torch.Tensor, camera: Camera) -> dict[str, Seconds]:
    """From pixels to panoptic volumes. Names with a dot are parts of the stage before the dot."""
    times: dict[str, Seconds] = {}

    def timed(name: str, work: Callable[..., Any], *given: Any) -> Any:
        start = now()
        result = work(*given)
        times[name] = since(start)
        return result

    with parts_timed(pipeline.voxel_net, times):
        fitted = timed("fit", pipeline.fit, image, (camera,))
        pyramid = timed("trunk", pipeline.trunk, fitted.pixels)
        panoptic = timed("panoptic", pipeline.panoptic, pyramid, fitted.cameras)
        rays = timed("rays", pipeline.rays, pyramid, fitted.cameras, panoptic)
        lifted = timed("lift", pipeline.lift, rays, panoptic)
        levels = timed("voxel_net", pipeline.voxel_net, lifted)
    said = Prediction(rays.cameras, lifted.grids, rays.depth_m, panoptic.instances, levels, panoptic.maps)
    timed("decode", pipeline.decode, said)
    total = {kind: sum(stage[kind] for name, stage in times.items() if "." not in name) for kind in ("cpu_s", "wall_s")}
    return {name: rounded(stage) for name, stage in {**times, "total": total}.items()}


@contextmanager
def parts_timed(network: Any, times: dict[str, Seconds]) -> Iterator[None]:
    """Of the modules of the voxel net that are called by themselves."""
    handles, starts = [], {}
    for name, module in network.named_children() if isinstance(network, nn.Module) else ():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: starts.__setitem__(name, now())))
        handles.append(
            module.register_forward_hook(
                lambda *_, name=name: times.__setitem__(f"voxel_net.{name}", since(starts[name]))
            )
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def spans(marks: list[tuple[float, float]], names: tuple[str, ...]) -> dict[str, Seconds]:
    """Between marks of `now`, and in all."""
    pairs = dict(zip(names, itertools.pairwise(marks), strict=True)) | {"total": (marks[0], marks[-1])}
    return {name: rounded({"cpu_s": b[0] - a[0], "wall_s": b[1] - a[1]}) for name, (a, b) in pairs.items()}


def now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def since(start: tuple[float, float]) -> Seconds:
    cpu, wall = now()
    return {"cpu_s": cpu - start[0], "wall_s": wall - start[1]}


def rounded(seconds: Seconds) -> Seconds:
    return {kind: round(value, 3) for kind, value in seconds.items()}


def image_of(path: str | None) -> torch.Tensor:
    if path is None:
        return torch.randint(0, 256, (1, 3, 240, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None]


def matrix_rate(size: int = 2048) -> float:
    """GFLOP/s of one thread's float32 product, to compare processors by."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, best = torch.randn(size, size), float("inf")
    for _ in range(3):
        start = time.process_time()
        torch.mm(a, a)
        best = min(best, time.process_time() - start)
    torch.set_num_threads(threads)
    return 2 * size**3 / best / 1e9


class MemoryAbove:
    """Peak of the process since it was made, above what it held then. Loading weights holds them twice for a moment, which a
    peak since the start would hide everything behind.
    """

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # Linux begins the peak anew
        self.before_mib = _status_mib("VmRSS")

    def peak_mib(self) -> int:
        return round(_status_mib("VmHWM") - self.before_mib)


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
