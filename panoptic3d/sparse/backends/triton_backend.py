"""Our fused kernels on GPUs. With TRITON_INTERPRET=1 they run, slowly, on a CPU, which is how they are tested there."""

import importlib
import os
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan

_MAX_SIGNATURE_BITS = 62


class TritonBackend:
    def obstacle(self, features: Tensor, plan: Plan, writes: Writes) -> str | None:
        if features.dtype == torch.float64:
            return "computes in float32 and below, not in float64"
        if features.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            return "computes on GPUs (on a CPU only through Triton's interpreter, TRITON_INTERPRET=1)"
        return None

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        return _FusedConvolution.apply(features.contiguous(), weight.contiguous(), plan, writes)


class _FusedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, plan: Plan, writes: Writes) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.plan, ctx.writes = plan, writes
        return _kernels().gather_gemm(features, weight, plan.neighbours(writes), _order(plan, writes))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        plan: Plan = ctx.plan
        reads: Writes = "fine" if ctx.writes == "coarse" else "coarse"
        gradient = gradient.contiguous()
        by_features = by_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(1, 2).contiguous()
            by_features = _kernels().gather_gemm(gradient, turned, plan.neighbours(reads), _order(plan, reads))
        if ctx.needs_input_grad[1]:
            neighbours, order = plan.neighbours(ctx.writes), _order(plan, ctx.writes)
            by_weight = _kernels().correlate(features, gradient, neighbours, order).to(weight.dtype)
        return by_features, by_weight, None, None


def _order(plan: Plan, writes: Writes) -> Int64[Tensor, " n"]:
    """Rows by pattern of occupied taps; beyond 62 taps, by how the first 62 are occupied."""
    return plan.kept(("order", writes), lambda: _sorted_by_pattern(plan.neighbours(writes)))


def _sorted_by_pattern(neighbours: Tensor) -> Int64[Tensor, " n"]:
    signature = torch.zeros(len(neighbours), dtype=torch.int64, device=neighbours.device)
    for tap in range(min(neighbours.shape[1], _MAX_SIGNATURE_BITS)):
        signature |= (neighbours[:, tap] >= 0).long() << tap
    return torch.sort(signature, stable=True).indices


def _kernels() -> ModuleType:
    require("triton", "the sparse back end 'triton'")
    return importlib.import_module("panoptic3d.sparse.backends.triton_kernels")
