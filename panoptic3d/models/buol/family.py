"""BUOL's published weights: 975 tensors, of which one is a constant (section 11 and appendix A of its specification)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from panoptic3d.models.buol.config import BuolConfig, config_for_published_weights
from panoptic3d.models.buol.names import their_name
from panoptic3d.models.checkpoints.family import Family
from panoptic3d.models.modes import Mode
from panoptic3d.models.sparse_deeplab.config import SparseDeepLabConfig


def _config_for(state: Mapping[str, Tensor], mode: Mode) -> BuolConfig:
    return config_for_published_weights(mode)


def _sobel() -> Tensor:
    """Sobel kernel of the depth gradient, which only the loss uses."""
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    down = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
    return torch.stack((across, down))[:, None]


def _obstacle(config: BuolConfig) -> str | None:
    net = config.voxel_net
    if not isinstance(net, SparseDeepLabConfig):
        return "has another voxel net"
    if net.finest_stride != 2:
        return "has heads at 3 cm"
    if net.frame != "released":
        return "learnt volumes that run with the camera's axes"
    return None


BUOL = Family(
    name="buol",
    title="BUOL",
    config_for=_config_for,
    their_name=their_name,
    stage_2d=("bb2d.", "bu2d.", "depth."),
    constants={"depth.get_gradient.edge_conv.weight": _sobel()},
    entry="state_dict",
    is_bare=True,
    exports=_obstacle,
)
