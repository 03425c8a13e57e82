"""WarpConvNet (CUDA only), for submanifold convolutions: its strided sets are not ours to give."""

import importlib

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.row_ops import pick
from panoptic3d.sparse.voxels import rows_of_cells
from panoptic3d.sparse.weights import to_warpconvnet

_PURPOSE = "the sparse back end 'warpconvnet'"


class WarpconvnetBackend:
    def obstacle(self, features: Tensor, plan: Plan, writes: Writes) -> str | None:
        if features.device.type != "cuda":
            return "computes on CUDA only"
        if not plan.is_mirrored or plan.kernel.dilation != 1 or writes != "coarse":
            return "is adapted for undilated submanifold convolutions only"
        return "takes no empty set of voxels" if not len(plan.fine) else None

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        require("warpconvnet", _PURPOSE)
        geometry = importlib.import_module("warpconvnet.geometry.types.voxels")
        functional = importlib.import_module("warpconvnet.nn.functional.sparse_conv")
        voxels = plan.fine
        offsets = torch.tensor([0, *voxels.counts]).cumsum(0)
        cloud = geometry.Voxels(voxels.coords[:, 1:].contiguous(), features, offsets=offsets)
        out = functional.spatially_sparse_conv(cloud, to_warpconvnet(weight), kernel_size=(plan.kernel.size,) * 3)
        member = torch.repeat_interleave(out.offsets.diff()).to(voxels.device)
        cells = torch.cat((member[:, None].int(), out.coordinate_tensor.int()), dim=1)
        return pick(out.feature_tensor, rows_of_cells(voxels, cells).argsort())
