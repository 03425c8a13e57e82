"""The default: plain PyTorch, on every device, exact, deterministic, with memory bounded by the config."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.runtime.memory import explained_memory
from panoptic3d.sparse.torch.dispatch import TorchKernel, Widths, chosen
from panoptic3d.sparse.torch.gather_gemm import apply_taps_and_correlate
from panoptic3d.sparse.torch.work_order import work_order


class TorchBackend:
    def obstacle(self, features: Tensor, plan: Plan, writes: Writes) -> str | None:
        return None

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        """By the kernel that the table of `dispatch.py` says."""
        widths = Widths.of(features, weight, writes)
        kernel = chosen(plan, widths)
        if kernel.has_own_gradient:
            return kernel.run(features, weight, plan, widths)
        return _TapConvolution.apply(features.contiguous(), weight, plan, widths, kernel)


class _TapConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, plan: Plan, widths: Widths, kernel: TorchKernel) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.plan, ctx.writes = plan, widths.writes
        num_rows = len(plan.coarse if widths.writes == "coarse" else plan.fine)
        with _alone(features), explained_memory("a convolution", num_rows, plan.config):
            return kernel.run(features, weight, plan, widths)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        features, weight = ctx.saved_tensors
        plan: Plan = ctx.plan
        reads: Writes = "fine" if ctx.writes == "coarse" else "coarse"
        with _alone(features), explained_memory("a convolution's gradient", len(features), plan.config):
            work = work_order(plan, reads, weight.shape[1], weight.shape[2])
            by_features, by_weight = apply_taps_and_correlate(
                gradient.contiguous(), weight, features, work, plan.config.gather_bytes, ctx.needs_input_grad[:2]
            )
        return by_features, by_weight, None, None, None


def _alone(features: Tensor) -> torch.autocast:
    """Types are settled before: inside, autocast would only be in the way of products into given buffers."""
    return torch.autocast(features.device.type, enabled=False)
