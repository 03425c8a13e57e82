"""MinkowskiEngine through its public API. It owns its coordinates, so every call inserts ours and maps rows back."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.row_ops import pick
from panoptic3d.sparse.voxels import rows_of_cells
from panoptic3d.sparse.weights import to_minkowski
from panoptic3d.structures.sparse_voxels import SparseVoxels


class MinkowskiBackend:
    def obstacle(self, features: Tensor, plan: Plan, writes: Writes) -> str | None:
        kernel = plan.kernel
        if kernel.size % 2 == 0 and kernel.padding != 0:
            return f"does not centre kernels of even size ({kernel.size}); use convention='minkowski'"
        if kernel.size == 1 and kernel.stride > 1:
            return "treats kernels of size 1 as a product per voxel, whatever the stride"
        if not len(plan.fine) or not len(plan.coarse):
            return "takes no empty set of voxels"
        if features.dtype not in (torch.float32, torch.float64):
            return f"computes in float32 and float64, not in {features.dtype}"
        return None

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        engine = require("MinkowskiEngine", "the sparse back end 'minkowski'")
        manager = engine.CoordinateManager(D=3)
        kernel = plan.kernel
        reads, written = (plan.fine, plan.coarse) if writes == "coarse" else (plan.coarse, plan.fine)
        source, from_ours, _ = _inserted(manager, reads, kernel.stride if writes == "fine" else 1)
        if reads is written:
            target, to_ours = source, from_ours.argsort()
        else:
            target, _, to_ours = _inserted(manager, written, kernel.stride if writes == "coarse" else 1)
        layer = engine.MinkowskiConvolution if writes == "coarse" else engine.MinkowskiConvolutionTranspose
        module = layer(weight.shape[1], weight.shape[2], kernel.size, kernel.stride, kernel.dilation, dimension=3).to(
            features
        )
        tensor = engine.SparseTensor(pick(features, from_ours), coordinate_map_key=source, coordinate_manager=manager)
        weights = {"kernel": to_minkowski(weight)}
        return pick(torch.func.functional_call(module, weights, (tensor, target)).F, to_ours)


def _inserted(manager: Any, voxels: SparseVoxels, factor: int) -> tuple[Any, Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Key of the set in MinkowskiEngine's manager, and the row permutations from its order to ours and back."""
    scale = voxels.coords.new_tensor([1, factor, factor, factor])
    key, _ = manager.insert_and_map((voxels.coords * scale).contiguous(), tensor_stride=[factor] * 3)
    theirs = torch.div(manager.get_coordinates(key), scale, rounding_mode="floor")
    from_ours = rows_of_cells(voxels, theirs)
    return key, from_ours, from_ours.argsort()
