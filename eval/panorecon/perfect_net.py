"""A voxel net that answers its targets exactly, wherever the real one can reach. What is lost then, no training wins back."""

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.losses.voxel_objective import VoxelTargets
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.slots import SurfaceLifted
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.voxels import coarsened, generated, pruned, union, voxels_of_mask
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels

_SURE = 20.0


class PerfectNet:
    """The cells of one sample go the way of `FrustumUNet`: asked, pruned, joined with what was lifted, generated."""

    def __init__(self, config: FrustumUNetConfig, targets: tuple[VoxelTargets, ...]) -> None:
        self.config, self.targets = config, targets

    def __call__(self, lifted: SurfaceLifted) -> Levels[LabelledLevel, SurfaceLevel]:
        even = Kernel(4, 2, convention="minkowski" if self.config.even_kernels == "one-sided" else "centred")
        seen128 = coarsened(lifted.voxels, 2)
        seen64 = coarsened(seen128, 2)
        kept64 = self._occupied(voxels_of_mask(lifted.is_in_frustum, 4), 0)
        made128 = generated(union(seen64, kept64), even, bounds=((0, 0, 0), seen128.shape))
        kept128 = self._occupied(made128, 1)
        made256 = generated(union(seen128, kept128), even, bounds=((0, 0, 0), lifted.voxels.shape))
        if self.config.last_index == "dropped":
            limit = made256.coords.new_tensor(lifted.voxels.shape) - 1
            made256 = pruned(made256, (made256.coords[:, 1:] < limit).all(dim=1))
        return Levels((), self._said(self._occupied(made256, 2)))

    def _occupied(self, voxels: SparseVoxels, level: int) -> SparseVoxels:
        return pruned(voxels, _at(self.targets[level].occupancy, voxels))

    def _said(self, voxels: SparseVoxels) -> SurfaceLevel:
        target = self.targets[2]
        assert target.distance_vox is not None
        everything = torch.ones(len(voxels), dtype=torch.bool)
        labels = {"semantic": self.config.num_classes, "instance": self.config.num_instances}
        logits = {
            name: _SURE * F.one_hot(_at(getattr(target, name), voxels).long(), count).float()
            for name, count in labels.items()
        }
        return SurfaceLevel(
            candidates=voxels,
            occupancy_logit=torch.full((len(voxels),), _SURE),
            voxels=voxels,
            is_kept=everything,
            semantic_logits=logits["semantic"],
            instance_logits=logits["instance"],
            distance_vox=_at(target.distance_vox, voxels),
        )


def _at(volume: Tensor, voxels: SparseVoxels) -> Tensor:
    return volume[tuple(voxels.coords.long().unbind(dim=1))]
