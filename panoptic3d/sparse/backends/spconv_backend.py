"""spconv, from its CUDA or CPU wheels, and spconv-triton, which has its API. Both own their coordinates."""

import importlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.row_ops import pick_found
from panoptic3d.sparse.voxels import rows_of_cells
from panoptic3d.sparse.weights import kernel_size_of
from panoptic3d.structures.sparse_voxels import SparseVoxels


class SpconvBackend:
    def __init__(self, package: str) -> None:
        self.package = package

    def obstacle(self, features: Tensor, plan: Plan, writes: Writes) -> str | None:
        if not len(plan.fine) or not len(plan.coarse):
            return "takes no empty set of voxels"
        if plan.kernel.size == 1:
            return "keeps kernels of size 1 in another layout; a product per voxel needs no back end"
        if features.device.type == "cuda":
            return None
        if self.package == "spconv_triton":
            return "computes on GPUs only"
        if torch.get_num_threads() > 1:
            return "gives wrong numbers on a CPU with more than one thread (version 2.3.8); set one thread"
        if torch.is_grad_enabled():
            return "has no backward on a CPU (version 2.3.8); use torch.no_grad() or another back end"
        return None

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        require(self.package, f"the sparse back end '{self.package}'")
        engine = importlib.import_module(f"{self.package}.pytorch")
        reads, written = (plan.fine, plan.coarse) if writes == "coarse" else (plan.coarse, plan.fine)
        shift, shape = _frame(plan, writes)
        coords = reads.coords + reads.coords.new_tensor([0, *shift])
        tensor = engine.SparseConvTensor(features, coords.contiguous(), shape, reads.batch_size)
        module = self._module(engine, weight, plan, writes).to(features)
        size = kernel_size_of(weight)
        # spconv keeps (out, i, j, k, in)
        weights = {"weight": weight.unflatten(0, (size, size, size)).permute(4, 0, 1, 2, 3).contiguous()}
        result = torch.func.functional_call(module, weights, (tensor,))
        return _on_our_rows(result, plan, writes, written, shift)

    def _module(self, engine: Any, weight: Tensor, plan: Plan, writes: Writes) -> torch.nn.Module:
        kernel = plan.kernel
        channels = (weight.shape[1], weight.shape[2], kernel.size)
        if writes == "fine":
            return engine.SparseConvTranspose3d(
                *channels, stride=kernel.stride, padding=0, dilation=kernel.dilation, bias=False
            )
        if plan.is_mirrored:
            return engine.SubMConv3d(*channels, dilation=kernel.dilation, bias=False)
        return engine.SparseConv3d(*channels, stride=kernel.stride, padding=0, dilation=kernel.dilation, bias=False)


def _frame(plan: Plan, writes: Writes) -> tuple[list[int], list[int]]:
    """By how much to shift what is read so that it starts at zero with room for the kernel, and the size of that grid.

    A shift of the fine side is a multiple of the stride, less the padding that spconv is not told of.
    """
    kernel = plan.kernel
    reach = kernel.dilation * (kernel.size - 1)
    low = torch.cat((plan.fine.coords[:, 1:], plan.coarse.coords[:, 1:] * kernel.stride)).amin(0)
    high = torch.cat((plan.fine.coords[:, 1:], plan.coarse.coords[:, 1:] * kernel.stride)).amax(0)
    margin = -(-(reach + kernel.padding) // kernel.stride) + 1
    coarse_shift = [margin - int(value) // kernel.stride for value in low.tolist()]
    if writes == "fine":
        return coarse_shift, [
            int(b) // kernel.stride + s + margin for b, s in zip(high.tolist(), coarse_shift, strict=True)
        ]
    if plan.is_mirrored:
        shift = [margin - int(value) for value in low.tolist()]
    else:
        shift = [s * kernel.stride + kernel.padding for s in coarse_shift]
    return shift, [int(b) + s + 2 * reach + 2 for b, s in zip(high.tolist(), shift, strict=True)]


def _on_our_rows(result: Any, plan: Plan, writes: Writes, written: SparseVoxels, shift: list[int]) -> Tensor:
    """spconv writes every cell that it reaches, in its own order."""
    kernel = plan.kernel
    if writes == "fine":
        back = [-(s * kernel.stride) - kernel.padding for s in shift]
    elif plan.is_mirrored:
        back = [-s for s in shift]
    else:
        back = [-((s - kernel.padding) // kernel.stride) for s in shift]
    theirs = result.indices + result.indices.new_tensor([0, *back])
    ours_of_theirs = rows_of_cells(written, theirs)
    theirs_of_ours = torch.full((len(written),), -1, dtype=torch.int64, device=written.device)
    is_wanted = ours_of_theirs >= 0
    theirs_of_ours[ours_of_theirs[is_wanted]] = is_wanted.nonzero()[:, 0]
    return pick_found(result.features, theirs_of_ours)
