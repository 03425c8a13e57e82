"""Which predicted distance means one voxel."""

from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.scene import SURFACE_ISO_VOX


def calibrated_iso(predicted_vox: Float[Tensor, "*s"], true_vox: Float[Tensor, "*s"]) -> float:
    """The level at which as many voxels are surface in a prediction as are in the truth at 1: the one that keeps a shell from
    being too thin or too thick on the whole. Both are taken where the truth is known.
    """
    num_true = int((true_vox.abs() < SURFACE_ISO_VOX).sum())
    if num_true == 0:
        raise ValueError("a calibration needs truth with a surface")
    return float(predicted_vox.flatten().kthvalue(min(num_true + 1, predicted_vox.numel())).values)
