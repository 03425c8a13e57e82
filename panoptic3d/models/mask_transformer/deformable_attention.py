"""Multi-scale deformable attention (Zhu et al., ICLR 2021) in plain torch.

A query looks at a few points of each map instead of all cells. It says where (offsets from its own place) and how much each
point counts; the points are read bilinearly with `grid_sample`, so that no compiled operator is needed.
"""

import importlib
import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened

Sizes = Sequence[tuple[int, int]]  # (height, width) of each map


def sample_and_sum(
    values: Float[Tensor, "b heads tokens c"],
    sizes: Sizes,
    locations: Float[Tensor, "b heads queries levels points 2"],
    weights: Float[Tensor, "b heads queries levels points"],
) -> Float[Tensor, "b heads queries c"]:
    """The weighted sum of what lies at the locations: (x, y) in [0, 1] from border to border of a map, zero outside.

    By a fused kernel on GPUs with Triton, else by `sampled_with_grids`, its readable twin.
    """
    if values.dtype == torch.float32 and _has_kernel(values.device):
        return _Fused.apply(values, locations, weights, tuple(sizes))  # pyright: ignore[reportReturnType]
    return sampled_with_grids(values, sizes, locations, weights)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, locations: Tensor, weights: Tensor, sizes: Sizes) -> Tensor:
        ctx.save_for_backward(values, locations, weights)
        ctx.sizes = sizes
        kernel = importlib.import_module("panoptic3d.models.mask_transformer.deformable_kernel")
        return kernel.sample(values, list(sizes), locations, weights)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, locations, weights = (saved.detach().requires_grad_() for saved in ctx.saved_tensors)
        with torch.enable_grad():
            out = sampled_with_grids(values, ctx.sizes, locations, weights)
        return *torch.autograd.grad(out, (values, locations, weights), gradient), None


def _has_kernel(device: torch.device) -> bool:
    """With TRITON_INTERPRET=1 it runs, slowly, on a CPU, which is how it is tested there."""
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return False
    return importlib.util.find_spec("triton") is not None


def sampled_with_grids(
    values: Float[Tensor, "b heads tokens c"],
    sizes: Sizes,
    locations: Float[Tensor, "b heads queries levels points 2"],
    weights: Float[Tensor, "b heads queries levels points"],
) -> Float[Tensor, "b heads queries c"]:
    batch, heads, num_queries = locations.shape[:3]
    grid = (2 * locations - 1).flatten(0, 1)
    maps = values.flatten(0, 1).split([h * w for h, w in sizes], dim=1)
    total = values.new_zeros(batch * heads, values.shape[3], num_queries)
    for level, ((height, width), tokens) in enumerate(zip(sizes, maps, strict=True)):
        image = tokens.transpose(1, 2).unflatten(2, (height, width))
        seen = F.grid_sample(image, grid[:, :, level], mode="bilinear", padding_mode="zeros", align_corners=False)
        total = total + (seen * weights[:, :, :, level].flatten(0, 1)[:, None]).sum(dim=3)
    return total.transpose(1, 2).unflatten(0, (batch, heads))


class DeformableAttention(nn.Module):
    def __init__(self, width: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.offsets = nn.Linear(width, num_heads * num_levels * num_points * 2)
        self.weights = nn.Linear(width, num_heads * num_levels * num_points)
        self.values = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._initialise()

    def forward(
        self,
        queries: Float[Tensor, "b queries c"],
        tokens: Float[Tensor, "b tokens c"],
        places: Float[Tensor, "queries 2"],
        sizes: Sizes,
    ) -> Float[Tensor, "b queries c"]:
        """`places` are those of the queries, in [0, 1]; an offset of 1 is a cell of the map that is looked at."""
        shape = (self.num_heads, self.num_levels, self.num_points)
        cells = queries.new_tensor([(width, height) for height, width in sizes])[:, None]
        offsets = widened(self.offsets(queries)).unflatten(2, (*shape, 2)) / cells
        locations = (places[:, None, None, None] + offsets).transpose(1, 2)
        logits = widened(self.weights(queries)).unflatten(2, (self.num_heads, -1))
        weights = logits.softmax(dim=3).unflatten(3, shape[1:])
        values = widened(self.values(tokens)).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        seen = sample_and_sum(values, sizes, locations, weights.transpose(1, 2))
        return self.out(seen.transpose(1, 2).flatten(2))

    @torch.no_grad()
    def _initialise(self) -> None:
        """At first every head looks in a direction of its own, each point one cell further, all points alike."""
        angle = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=1)
        direction = direction / direction.abs().amax(dim=1, keepdim=True)
        steps = torch.arange(1, self.num_points + 1)[None, None, :, None]
        bias = direction[:, None, None] * steps.expand(-1, self.num_levels, -1, -1)
        self.offsets.weight.zero_()
        self.offsets.bias.copy_(bias.flatten())
        self.weights.weight.zero_()
        for layer in (self.values, self.out):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.weights, self.values, self.out):
            layer.bias.zero_()
