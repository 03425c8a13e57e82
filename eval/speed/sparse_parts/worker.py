"""One engine in a process of its own. Reads one JSON order per line, answers with one JSON line.

`python worker.py ours|minkowski|gather-scatter|im2col|bricks`. An order names a file of coordinates, channels, threads and
what to do; the answer holds seconds (wall, processor) of one round, plan building from coordinates included.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Step = Callable[[torch.Tensor, int], None]

sys.path.insert(0, str(Path(__file__).resolve().parent))


def ours(coords: torch.Tensor, channels: int) -> Step:
    from panoptic3d.sparse import Kernel, conv, make_plan, voxel_set

    weight = torch.randn(27, channels, channels, requires_grad=True)

    def step(features: torch.Tensor, size: int) -> None:
        voxels = voxel_set(coords, 1, (size, size, size))
        out = conv(features, weight, make_plan(voxels, voxels, Kernel(3)))
        torch.autograd.grad(out, (features, weight), torch.ones_like(out))

    return step


def minkowski(coords: torch.Tensor, channels: int) -> Step:
    import MinkowskiEngine

    layer = MinkowskiEngine.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=3)

    def step(features: torch.Tensor, size: int) -> None:
        out = layer(MinkowskiEngine.SparseTensor(features, coords)).F
        torch.autograd.grad(out, (features, layer.kernel), torch.ones_like(out))

    return step


def _variant(name: str) -> Callable[[torch.Tensor, int], Step]:
    import variants

    return variants.VARIANTS[name]


def main() -> None:
    name = sys.argv[1]
    engine = {"ours": ours, "minkowski": minkowski}.get(name) or _variant(name)
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(engine, json.loads(line))), flush=True)


def _answer(engine: Callable[[torch.Tensor, int], Step], order: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(order["threads"])
    if order.get("sgemm"):
        return _sgemm()
    import numpy as np

    torch.manual_seed(0)
    coords = torch.from_numpy(np.load(order["coords"]))
    step = engine(coords, order["channels"])
    features = torch.randn(len(coords), order["channels"], requires_grad=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    step(features, 256)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"wall_s": wall, "processor_s": processor, "peak_mib": peak / 1024, "grown_mib": (peak - before) / 1024}


def _sgemm() -> dict[str, float]:
    """Best of several products of 2048 x 2048 matrices, in operations per second."""
    a, out = torch.randn(2048, 2048), torch.empty(2048, 2048)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, a, out=out)
        best = min(best, time.perf_counter() - start)
    return {"flops_per_s": 2 * 2048**3 / best}


if __name__ == "__main__":
    main()
