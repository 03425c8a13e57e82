"""Uni-3D's published weights: 840 keys of the 2D stage, 980 with one scale, 1,010 with four."""

from collections.abc import Mapping

import torch
from torch import Tensor

from panoptic3d.models.checkpoints.family import Family
from panoptic3d.models.modes import Mode
from panoptic3d.models.uni3d.config import Uni3dConfig, config_for_published_weights
from panoptic3d.models.uni3d.names import their_name

_NUM_CLASSES, _NO_OBJECT_WEIGHT = 13, 0.1


def _config_for(state: Mapping[str, Tensor], mode: Mode) -> Uni3dConfig:
    is_multi = any(name.startswith("completion.feature_adapters.") for name in state)
    return config_for_published_weights(mode, "multi" if is_multi else "single")


def _obstacle(config: Uni3dConfig) -> str | None:
    is_centred = getattr(config.voxel_net, "even_kernels", None) != "one-sided"
    return "has centred kernels, which the reference does not have" if is_centred else None


UNI3D = Family(
    name="uni3d",
    title="Uni-3D",
    config_for=_config_for,
    their_name=their_name,
    stage_2d=("backbone.", "sem_seg_head.", "criterion."),
    # Class weights of the 2D objective, "no object" last.
    constants={"criterion.empty_weight": torch.tensor([1.0] * _NUM_CLASSES + [_NO_OBJECT_WEIGHT])},
    versions={"": 1, "sem_seg_head": 2},  # without it the head's loader renames its own keys (section 11, 31)
    exports=_obstacle,
)
