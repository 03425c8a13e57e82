"""Sparse convolution as functions: `conv` writes the coarse side of a plan, `conv_transpose` the fine one."""

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.backends.choice import backend_named, resolved_name
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan


def conv(
    features: Float[Tensor, "fine cin"],
    weight: Float[Tensor, "t cin cout"],
    plan: Plan,
    bias: Float[Tensor, " cout"] | None = None,
) -> Float[Tensor, "coarse cout"]:
    """The result of `conv3d` at the plan's coarse voxels; missing fine voxels count as zeros.

    Submanifold if the plan joins a set with itself, strided if it joins it with a coarser one. `weight[t, i, o]` is
    `dense[o, i, a, b, c]` at tap t = (a*size + b)*size + c.
    """
    return _convolve(features, weight, plan, "coarse", bias)


def conv_transpose(
    features: Float[Tensor, "coarse cin"],
    weight: Float[Tensor, "t cin cout"],
    plan: Plan,
    bias: Float[Tensor, " cout"] | None = None,
) -> Float[Tensor, "fine cout"]:
    """The result of `conv_transpose3d` at the plan's fine voxels; missing coarse voxels count as zeros."""
    return _convolve(features, weight, plan, "fine", bias)


def _convolve(features: Tensor, weight: Tensor, plan: Plan, writes: Writes, bias: Tensor | None) -> Tensor:
    features, weight = _for_autocast(features, weight)
    _refuse_misfits(features, weight, plan, writes)
    if plan.is_pointwise:
        out = features @ weight[0]
        return out if bias is None else out + bias.to(out.dtype)
    name = resolved_name(plan.config.backend, features.device)
    backend = backend_named(name)
    obstacle = backend.obstacle(features, plan, writes)
    if obstacle is not None and plan.config.backend == "auto":
        backend = backend_named("torch")
    elif obstacle is not None:
        raise InputError(f"the sparse back end '{name}' {obstacle}; or set sparse.backend to auto.")
    out = backend.convolve(features, weight, plan, writes)
    return out if bias is None else out + bias.to(out.dtype)


def _for_autocast(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Under autocast both go to its type, as in torch's own convolutions."""
    kind = features.device.type
    if torch.is_autocast_enabled(kind) and features.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(kind)
        return features.to(dtype), weight.to(dtype)
    return features, weight


def _refuse_misfits(features: Tensor, weight: Tensor, plan: Plan, writes: Writes) -> None:
    reads = plan.fine if writes == "coarse" else plan.coarse
    if len(features) != len(reads):
        raise InputError(f"{len(features)} feature rows do not fit the {len(reads)} voxels that the plan reads.")
    if weight.shape[:2] != (plan.kernel.num_taps, features.shape[1]):
        raise InputError(
            f"a kernel of size {plan.kernel.size} over {features.shape[1]} channels has weights of "
            f"({plan.kernel.num_taps}, {features.shape[1]}, out), these are {tuple(weight.shape)}."
        )
    if features.dtype != weight.dtype:
        raise InputError(f"features are {features.dtype} and weights {weight.dtype}; cast one of them.")
