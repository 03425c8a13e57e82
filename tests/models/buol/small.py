"""BUOL with few channels: every module is there, and a forward pass takes a second."""

from typing import Any

from panoptic3d.models.buol.config import CORRECTED, FAITHFUL, BuolConfig
from panoptic3d.models.modes import Mode

_DECODER = {"pyramid_channels": 8, "skip_channels": [8, 4, 4], "channels": 8, "head_channels": 8}
_PREDICTOR = {"channels": 4, "skip_channels": [4, 4, 4]}
_WIDTHS: dict[str, dict[str, Any]] = {
    "trunk": {"width": 4},
    "panoptic": {"semantic": _DECODER, "instance": _DECODER},
    "rays": {"norm": "batch", "num_climbed": 4, "num_fused": 2, "num_planes": 100},
    "voxel_net": {"stem_channels": 2, "semantic": _PREDICTOR, "instance": _PREDICTOR, "geometry": _PREDICTOR},
}


def small_config(mode: Mode = "corrected", **sections: dict[str, Any]) -> BuolConfig:
    switches: dict[str, dict[str, Any]] = dict(FAITHFUL if mode == "faithful" else CORRECTED)
    names = {*_WIDTHS, *switches, *sections}
    tree = {name: _WIDTHS.get(name, {}) | switches.get(name, {}) | sections.get(name, {}) for name in names}
    return BuolConfig.model_validate(tree)
