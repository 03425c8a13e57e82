"""Fuse scenes with the poses of a file, and record both in scene.json."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import fuse
from panoptic3d.predictor.poses.posed_photos import PosedPhoto
from panoptic3d.predictor.poses.scale import scale_of_scenes
from panoptic3d.structures.scene import PanopticScene


def fuse_posed(
    scenes: Sequence[PanopticScene],
    poses: Sequence[PosedPhoto],
    names: Sequence[str],
    scale: float | None,
    config: FusionConfig | None = None,
    features: Sequence[Float32[Tensor, "h w c"]] | None = None,
) -> PanopticScene:
    """`scale` is the number of metres in a unit of the poses. None estimates it from the depth of the photos."""
    facts: dict[str, Any] = {"photos": list(names)}
    if scale is None:
        found = scale_of_scenes(scenes, poses)
        scale = found.factor
        facts["scale"] = {
            "metres_per_unit": round(scale, 6),
            "from": "depth",
            "median_log_error": round(found.median_log_error, 4),
            "num_shared_pixels": found.num_shared,
        }
    else:
        facts["scale"] = {"metres_per_unit": scale, "from": "given"}
    matrices = [torch.from_numpy(pose.world_from_camera.copy()) for pose in poses]
    for matrix in matrices:
        matrix[:3, 3] *= scale
    fused = fuse(scenes, matrices, config, features)
    return replace(fused, provenance={**fused.provenance, "fusion": {**facts, **fused.provenance.get("fusion", {})}})
