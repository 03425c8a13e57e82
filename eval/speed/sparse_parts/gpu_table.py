"""The GPU table: `python eval/speed/sparse_parts/gpu_table.py`, one call, prints Markdown. Needs CUDA and Triton.

3x3x3 submanifold over spheres, forward and forward+backward, float32 with and without TF32 and bfloat16, against
spconv-triton and dense convolution (where its volumes fit), with the achieved share of the machine's own product rate and
copy bandwidth. Nothing in it has been timed by us yet: no GPU was at hand when it was written.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from panoptic3d.errors import MissingPartError, Panoptic3dError
from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, to_dense, voxel_set
from panoptic3d.structures.sparse_voxels import SparseVoxels

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sets import GRID, spheres  # a neighbour of this script

SIZES = (50_000, 100_000, 300_000, 1_000_000)
CHANNELS = (16, 32, 64, 128)
PRECISIONS = ("fp32", "tf32", "bf16")
ENGINES = ("triton", "torch", "spconv-triton")


def main() -> None:
    if not torch.cuda.is_available():
        raise Panoptic3dError("the GPU table needs a CUDA device and there is none; run it on a machine with one.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {_copy_bytes_per_s() / 1e9:.0f} GB/s copy\n")
    print("| voxels | channels | precision | engine | forward ms | both ms | share of products | share of copies |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for num_voxels in SIZES:
        coords = torch.from_numpy(spheres(num_voxels)).cuda()
        voxels = voxel_set(coords, 1, (GRID, GRID, GRID))
        for channels in CHANNELS:
            for precision in PRECISIONS:
                for engine in (*ENGINES, "dense"):
                    print(_row(voxels, channels, precision, engine), flush=True)


def _row(voxels: SparseVoxels, channels: int, precision: str, engine: str) -> str:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    head = f"| {len(voxels)} | {channels} | {precision} | {engine} |"
    features = torch.randn(len(voxels), channels, device="cuda", dtype=dtype, requires_grad=True)
    weight = torch.randn(27, channels, channels, device="cuda", dtype=dtype, requires_grad=True)
    try:
        forward, inputs = _work(voxels, features, weight, engine)
        seconds = _best(forward)
        both = _best(lambda: torch.autograd.grad(out := forward(), inputs, torch.ones_like(out)))
    except (Panoptic3dError, MissingPartError, torch.OutOfMemoryError) as error:
        return f"{head} {' '.join(str(error).split())[:80]} | | | |"
    num_pairs = int((make_plan(voxels, voxels, Kernel(3)).neighbours("coarse") >= 0).sum())
    products = 2 * num_pairs * channels**2 / seconds / _products_per_s(dtype)
    moved = (num_pairs + len(voxels)) * channels * dtype.itemsize / seconds / _copy_bytes_per_s()
    return f"{head} {seconds * 1e3:.3f} | {both * 1e3:.3f} | {products:.2f} | {moved:.2f} |"


def _work(
    voxels: SparseVoxels, features: torch.Tensor, weight: torch.Tensor, engine: str
) -> tuple[Callable[[], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    if engine == "dense":
        volume = to_dense(features.detach(), voxels).contiguous().requires_grad_()
        kernel = weight.detach().view(3, 3, 3, *weight.shape[1:]).permute(4, 3, 0, 1, 2).contiguous().requires_grad_()
        return lambda: F.conv3d(volume, kernel, padding=1), (volume, kernel)
    plan = make_plan(voxels, voxels, Kernel(3), SparseConfig.model_validate({"backend": engine}))
    return lambda: conv(features, weight, plan), (features, weight)


def _best(work: Callable[[], object], rounds: int = 10) -> float:
    best = float("inf")
    for number in range(rounds + 2):  # two rounds warm up
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3) if number > 1 else best
    return best


def _products_per_s(dtype: torch.dtype) -> float:
    a = torch.randn(8192, 8192, device="cuda", dtype=dtype)
    return 2 * 8192**3 / _best(lambda: a @ a)


def _copy_bytes_per_s() -> float:
    a = torch.empty(1 << 28, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.nbytes / _best(lambda: b.copy_(a))


if __name__ == "__main__":
    main()
