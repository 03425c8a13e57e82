"""What every back end must do: equal dense convolution and its gradients on the support, whatever the case."""

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.backends.protocol import Backend, Writes
from panoptic3d.sparse.config import SparseConfig
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.plan import Plan, make_plan
from panoptic3d.sparse.voxels import coarsened, generated, reached_coarse, voxel_set
from panoptic3d.sparse.weights import to_dense_transposed_weight, to_dense_weight
from panoptic3d.structures.sparse_voxels import SparseVoxels

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


class ObstructedError(Exception):
    """The case is beyond the back end; the message is its obstacle."""


@dataclass(frozen=True, eq=False)
class Case:
    """Features, weights and a gradient to send back, over a plan."""

    plan: Plan
    writes: Writes
    features: Float[Tensor, "m cin"]
    weight: Float[Tensor, "t cin cout"]
    gradient: Float[Tensor, "n cout"]


def random_case(seed: int, dtype: torch.dtype, device: str = "cpu") -> Case:
    """Kernel 1-5, stride 1-3, dilation 1-2, both conventions, batch 1-4, occupancy 0.1-100 %, coordinates to +-512."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    kernel = Kernel(
        size=draw.randint(1, 5),
        stride=draw.choice((1, 1, 2, 3)),
        dilation=draw.randint(1, 2),
        convention=draw.choice(("centred", "minkowski")),
    )
    writes: Writes = draw.choice(("coarse", "fine"))
    plan = _random_plan(draw, generator, kernel, writes, device)
    num_in, num_out = draw.choice((1, 3, 8)), draw.choice((1, 4, 7))
    reads, written = (plan.fine, plan.coarse) if writes == "coarse" else (plan.coarse, plan.fine)
    scale = (num_in * kernel.num_taps) ** -0.5
    return Case(
        plan,
        writes,
        features=torch.randn(len(reads), num_in, generator=generator, dtype=dtype).to(device),
        weight=(scale * torch.randn(kernel.num_taps, num_in, num_out, generator=generator, dtype=dtype)).to(device),
        gradient=torch.randn(len(written), num_out, generator=generator, dtype=dtype).to(device),
    )


def worst_error(backend: Backend, case: Case) -> float:
    """Largest difference of output and both gradients to dense convolution, as a share of the largest value there (or of
    1): sums of thousands of terms, as in a gradient by weights, are not known better in float32.
    """
    obstacle = backend.obstacle(case.features, case.plan, case.writes)
    if obstacle is not None:
        raise ObstructedError(obstacle)
    ours = outcome(backend, case)
    return max(_difference(a, b) for a, b in zip(ours, dense_outcome(case), strict=True))


def outcome(backend: Backend, case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient by features, gradient by weight."""
    features, weight = (t.detach().clone().requires_grad_() for t in (case.features, case.weight))
    out = backend.convolve(features, weight, case.plan, case.writes)
    by_features, by_weight = torch.autograd.grad(out, (features, weight), case.gradient)
    return out.detach(), by_features, by_weight


def dense_outcome(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """The same by `conv3d` or `conv_transpose3d` in float64, over the smallest box that holds what the kernel reaches."""
    features, weight = (t.detach().double().requires_grad_() for t in (case.features, case.weight))
    plan, kernel = case.plan, case.plan.kernel
    fine_start, coarse_start, fine_sizes, coarse_sizes = _frame(plan)
    if case.writes == "coarse":
        volume = _spread(features, plan.fine, fine_start, fine_sizes)
        volume = F.conv3d(volume, to_dense_weight(weight), stride=kernel.stride, dilation=kernel.dilation)
        out = _read(volume, plan.coarse, coarse_start)
    else:
        volume = _spread(features, plan.coarse, coarse_start, coarse_sizes)
        dense = to_dense_transposed_weight(weight)
        volume = F.conv_transpose3d(volume, dense, stride=kernel.stride, dilation=kernel.dilation)
        out = _read(volume, plan.fine, fine_start)
    by_features, by_weight = torch.autograd.grad(out, (features, weight), case.gradient.double())
    return out.detach(), by_features, by_weight


def _frame(plan: Plan) -> tuple[list[int], list[int], list[int], list[int]]:
    """First fine and first coarse cell of a box, and how many of each it has.

    The fine box starts at `stride*coarse_start - padding`, so that convolving it without padding is convolving the
    endless grid with padding.
    """
    kernel = plan.kernel
    reach = kernel.dilation * (kernel.size - 1)
    fine, coarse = plan.fine.coords[:, 1:].long(), plan.coarse.coords[:, 1:].long()
    if not len(fine):
        fine = coarse * kernel.stride if len(coarse) else torch.zeros(1, 3, dtype=torch.int64)
    if not len(coarse):
        coarse = fine.div(kernel.stride, rounding_mode="floor")
    first_read = (fine.amin(0) + kernel.padding).div(kernel.stride, rounding_mode="floor")
    last_read = -(reach - kernel.padding - fine.amax(0)).div(kernel.stride, rounding_mode="floor")
    first = torch.minimum(coarse.amin(0), first_read)
    num_coarse = torch.maximum(coarse.amax(0), last_read) - first + 1
    fine_start = first * kernel.stride - kernel.padding
    num_fine = (num_coarse - 1) * kernel.stride + reach + 1
    return fine_start.tolist(), first.tolist(), num_fine.tolist(), num_coarse.tolist()


def _spread(features: Tensor, voxels: SparseVoxels, start: list[int], sizes: list[int]) -> Tensor:
    volume = features.new_zeros(voxels.batch_size, *sizes, features.shape[1])
    return volume.index_put(_places(voxels, start), features).permute(0, 4, 1, 2, 3)


def _read(volume: Tensor, voxels: SparseVoxels, start: list[int]) -> Tensor:
    return volume.permute(0, 2, 3, 4, 1)[_places(voxels, start)]


def _places(voxels: SparseVoxels, start: list[int]) -> tuple[Tensor, ...]:
    return (voxels.coords.long() - torch.tensor([0, *start], device=voxels.device)).unbind(1)


def _difference(ours: Tensor, dense: Tensor) -> float:
    if not ours.numel():
        return 0.0
    return ((ours - dense).abs().max() / dense.abs().max().clamp(min=1)).item()


def _random_plan(draw: random.Random, generator: torch.Generator, kernel: Kernel, writes: Writes, device: str) -> Plan:
    size, batch_size = draw.randint(2, 10), draw.randint(1, 4)
    origin = tuple(draw.choice((0, -7, -512, 512 - size, draw.randint(-512, 502))) for _ in range(3))
    size = size if writes == "coarse" else max(size // kernel.stride, 2)
    first = _random_set(generator, size, batch_size, origin, 10 ** draw.uniform(-3, 0), device)
    config = SparseConfig(
        rows_per_block=draw.choice((64, 32_768)),
        gather_bytes=draw.choice((1 << 12, 1 << 20)),
        table_bytes=draw.choice((0, 1 << 29)),
    )
    if writes == "coarse":
        kinds = (coarsened(first, kernel.stride), reached_coarse(first, kernel))
        target = first if kernel.stride == 1 and draw.random() < 0.6 else draw.choice(kinds)
        return make_plan(first, target, kernel, config)
    coarse = SparseVoxels(first.coords, first.batch_size, first.shape, kernel.stride, first.origin)
    if draw.random() < 0.5:
        return make_plan(generated(coarse, kernel), coarse, kernel, config)
    fine = _random_set(generator, size * kernel.stride, batch_size, _scaled(origin, kernel.stride), 0.2, device)
    return make_plan(fine, coarse, kernel, config)


def _scaled(origin: tuple[int, ...], factor: int) -> tuple[int, ...]:
    return tuple(value * factor for value in origin)


def _random_set(
    generator: torch.Generator, size: int, batch_size: int, origin: tuple[int, ...], occupancy: float, device: str
) -> SparseVoxels:
    """A batch in which each member, but for the draw, may be empty."""
    is_there = torch.rand(batch_size, size, size, size, generator=generator) < occupancy
    is_there[:, 0, 0, 0] |= torch.rand(batch_size, generator=generator) < 0.8
    coords = is_there.nonzero().int() + torch.tensor([0, *origin], dtype=torch.int32)
    low = (origin[0], origin[1], origin[2])
    return voxel_set(coords.to(device), batch_size, (size, size, size), origin=low)
