"""The GPU table: `PYTHONPATH=. python eval/speed/sparse_parts/gpu_table.py`, one call, Markdown. Needs CUDA and Triton.

3x3x3 submanifold over spheres: planning, forward, and forward with backward, in float32 with and without TF32 and in
bfloat16, against spconv-triton (by its own API, pairs kept) and dense convolution (where its volumes fit), with the achieved
share of the machine's own product rate and copy bandwidth, and at the end by how much each row and all of them are ahead of
the best peer. `--rehearse` runs the same script on a CPU through Triton's interpreter over tiny sets: its times mean nothing.
Nothing in it has been timed by us yet: no GPU was at hand when it was written.
"""

import argparse
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from panoptic3d.errors import MissingPartError, Panoptic3dError
from panoptic3d.optional import require
from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, to_dense, voxel_set
from panoptic3d.sparse.torch.work_order import work_order
from panoptic3d.structures.sparse_voxels import SparseVoxels

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sets import GRID, spheres  # a neighbour of this script

SIZES = (50_000, 100_000, 300_000, 1_000_000)
CHANNELS = (16, 32, 64, 128)
PRECISIONS = ("fp32", "tf32", "bf16")
OURS, PEERS = ("triton", "torch"), ("spconv-triton", "dense")

# How kernels, wheels and memory fail. A row that failed says so, and the table goes on.
FAILURES = (Panoptic3dError, MissingPartError, ImportError, RuntimeError, AssertionError, TypeError, ValueError)


class Task(NamedTuple):
    """`plan` makes what depends on the voxels alone, `forward` convolves by it, `inputs` are what gradients are taken of."""

    plan: Callable[[], object]
    forward: Callable[[], torch.Tensor]
    inputs: tuple[torch.Tensor, ...]


class Machine(NamedTuple):
    device: torch.device
    engines: tuple[str, ...]
    matrix_size: int
    rounds: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="tiny sets on a CPU, to see that the script runs")
    rehearse = parser.parse_args().rehearse
    if rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported
        machine, sizes, channels = Machine(torch.device("cpu"), (*OURS, "spconv-triton"), 64, 1), (300,), (16,)
    elif not torch.cuda.is_available():
        raise Panoptic3dError("the GPU table needs a CUDA device and there is none; try --rehearse on this machine.")
    else:
        machine, sizes, channels = Machine(torch.device("cuda"), OURS + PEERS, 8192, 10), SIZES, CHANNELS
    copies = _copy_bytes_per_s(machine)
    name = "a rehearsal on a CPU" if rehearse else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, {copies / 1e9:.0f} GB/s copy\n")
    print("| voxels | channels | precision | engine | plan ms | forward ms | both ms | of products | of copies | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    ahead = list(_rows(machine, sizes, channels, copies))
    if ahead:
        mean = math.exp(sum(math.log(a) for a in ahead) / len(ahead))
        print(f"\nOurs is {mean:.2f} times as fast as the best peer (geometric mean), {min(ahead):.2f} at least.")


def _rows(machine: Machine, sizes: tuple[int, ...], channels: tuple[int, ...], copies: float) -> Iterator[float]:
    """Prints every row, and gives for every combination the best peer's seconds, forward with backward, over ours."""
    for num_voxels in sizes:
        voxels = voxel_set(torch.from_numpy(spheres(num_voxels)).to(machine.device), 1, (GRID, GRID, GRID))
        num_pairs = int((make_plan(voxels, voxels, Kernel(3)).neighbours("coarse") >= 0).sum())
        for width in channels:
            for precision in PRECISIONS:
                products = _products_per_s(machine, precision)
                seconds = {}
                for engine in machine.engines:
                    seconds[engine] = _row(machine, voxels, num_pairs, width, precision, engine, products, copies)
                ours, peers = seconds["triton"], [s for engine in PEERS if (s := seconds.get(engine)) is not None]
                if ours is not None and peers:
                    yield min(peers) / ours


def _row(
    machine: Machine,
    voxels: SparseVoxels,
    num_pairs: int,
    width: int,
    precision: str,
    engine: str,
    products_per_s: float,
    copied_per_s: float,
) -> float | None:
    """Prints one row; the seconds of forward with backward, or None if it failed."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    _allow_tf32(precision)
    features = torch.randn(len(voxels), width, device=machine.device, dtype=dtype, requires_grad=True)
    weight = torch.randn(27, width, width, device=machine.device, dtype=dtype, requires_grad=True)
    print(f"| {len(voxels)} | {width} | {precision} | {engine} | ", end="")
    try:
        if machine.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        task = _TASKS[engine](voxels, features, weight)
        plan = _best(machine, task.plan)
        forward = _best(machine, task.forward)
        both = _best(machine, lambda: torch.autograd.grad(out := task.forward(), task.inputs, torch.ones_like(out)))
    except FAILURES as error:
        print(f"{' '.join(str(error).split())[:80]} | | | | | |", flush=True)
        return None
    products = 2 * num_pairs * width**2 / forward / products_per_s
    copies = (num_pairs + len(voxels)) * width * dtype.itemsize / forward / copied_per_s
    peak = torch.cuda.max_memory_allocated() / 2**20 if machine.device.type == "cuda" else 0
    times = " | ".join(f"{s * 1e3:.3f}" for s in (plan, forward, both))
    print(f"{times} | {products:.2f} | {copies:.2f} | {peak:.0f} |", flush=True)
    return both


def _ours(engine: str) -> Callable[[SparseVoxels, torch.Tensor, torch.Tensor], Task]:
    config = SparseConfig.model_validate({"backend": engine, "dense_from_occupancy": None})

    def task(voxels: SparseVoxels, features: torch.Tensor, weight: torch.Tensor) -> Task:
        kept = make_plan(voxels, voxels, Kernel(3), config)

        def plan() -> None:
            fresh = make_plan(voxels, voxels, Kernel(3), config)
            _ = fresh.neighbours("coarse") if engine == "triton" else work_order(fresh, "coarse", *weight.shape[1:])

        return Task(plan, lambda: conv(features, weight, kept), (features, weight))

    return task


def _spconv_triton(voxels: SparseVoxels, features: torch.Tensor, weight: torch.Tensor) -> Task:
    require("spconv_triton", "the row of spconv-triton")
    engine = importlib.import_module("spconv_triton.pytorch")
    module = engine.SubMConv3d(*weight.shape[1:], 3, bias=False, indice_key="kept").to(features)
    coords = voxels.coords.contiguous()

    def fresh() -> object:
        tensor = engine.SparseConvTensor(features, coords, list(voxels.shape), voxels.batch_size)
        module(tensor)
        return tensor

    kept = fresh()

    def forward() -> torch.Tensor:
        tensor = engine.SparseConvTensor(features, coords, list(voxels.shape), voxels.batch_size)
        tensor.indice_dict = kept.indice_dict  # pyright: ignore[reportAttributeAccessIssue]
        return module(tensor).features

    return Task(fresh, forward, (features, module.weight))


def _dense(voxels: SparseVoxels, features: torch.Tensor, weight: torch.Tensor) -> Task:
    volume = to_dense(features.detach(), voxels).contiguous().requires_grad_()
    kernel = weight.detach().view(3, 3, 3, *weight.shape[1:]).permute(4, 3, 0, 1, 2).contiguous().requires_grad_()
    return Task(lambda: None, lambda: F.conv3d(volume, kernel, padding=1), (volume, kernel))


_TASKS = {"triton": _ours("triton"), "torch": _ours("torch"), "spconv-triton": _spconv_triton, "dense": _dense}


def _best(machine: Machine, work: Callable[[], object]) -> float:
    """Seconds of the best round after two to warm up."""
    best = float("inf")
    for number in range(machine.rounds + 2):
        seconds = _cuda_seconds(work) if machine.device.type == "cuda" else _wall_seconds(work)
        best = min(best, seconds) if number > 1 else best
    return best


def _cuda_seconds(work: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def _wall_seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _products_per_s(machine: Machine, precision: str) -> float:
    _allow_tf32(precision)
    size, dtype = machine.matrix_size, torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(size, size, device=machine.device, dtype=dtype)
    return 2 * size**3 / _best(machine, lambda: a @ a)


def _copy_bytes_per_s(machine: Machine) -> float:
    a = torch.empty(machine.matrix_size**2 * 4, device=machine.device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / _best(machine, lambda: b.copy_(a))


def _allow_tf32(precision: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


if __name__ == "__main__":
    main()
