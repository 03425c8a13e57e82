"""PanoRecon's published weights: 519 tensors, of which two are constants (section 8 of its specification)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from panoptic3d.models.checkpoints.family import Family
from panoptic3d.models.mask_rcnn.anchors import base_anchors
from panoptic3d.models.mask_rcnn.config import ProposalConfig
from panoptic3d.models.modes import Mode
from panoptic3d.models.panorecon.config import PanoReconConfig, config_for_published_weights
from panoptic3d.models.panorecon.names import old_name, present_name, their_name

_COUNTERS = "num_batches_tracked"  # of ordinary batch norms: frozen ones, as in the published files, have none


def _config_for(state: Mapping[str, Tensor], mode: Mode) -> PanoReconConfig:
    counts = any(name.endswith(_COUNTERS) for name in state)
    return config_for_published_weights(mode, "batch" if counts else "frozen")


def _constants() -> dict[str, Tensor]:
    proposals = ProposalConfig()
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    across = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
    return {
        "depth2d.get_gradient.edge_conv.weight": torch.stack((sobel, across))[:, None],
        "instance2d.rpn.anchor_generator.cell_anchors.0": base_anchors(
            proposals.stride_px, proposals.anchor_sizes_px, proposals.anchor_ratios
        ),
    }


def _obstacle(config: PanoReconConfig) -> str | None:
    is_centred = getattr(config.voxel_net, "even_kernels", None) != "one-sided"
    return "has centred kernels, which the reference does not have" if is_centred else None


PANORECON = Family(
    name="panorecon",
    title="PanoRecon",
    config_for=_config_for,
    their_name=their_name,
    stage_2d=("encoder2d.", "depth2d.", "instance2d."),
    constants=_constants(),
    exports=_obstacle,
    present_name=present_name,
    old_name=old_name,
)
