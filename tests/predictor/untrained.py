"""A checkpoint folder of a narrow PanoRecon that nobody has trained: every weight as torch draws it from a seed.

Its detector trusts almost everything and its depth is two metres everywhere, so that scenes have things and stay small.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from panoptic3d.config import canonical_json
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import PanoReconConfig, config_for_published_weights


def make_checkpoint(folder: Path, mode: str = "corrected") -> Path:
    config = config_for_published_weights(mode).model_dump()  # pyright: ignore[reportArgumentType]
    config["panoptic"]["rois"]["min_score"], config["panoptic"]["confident_score"] = 0.07, 0.0
    config["panoptic"]["proposals"] |= {"num_before_nms": 40, "num_after_nms": 12}
    config["voxel_net"] |= {"width": 1, "threshold_64": 0.65, "threshold_128": 0.55}
    config["decode"] |= {"clean": "nothing"}  # nonsense is all fragments
    checked = PanoReconConfig.model_validate(config)
    torch.manual_seed(0)
    pipeline = build_panorecon(checked)
    torch.nn.init.zeros_(pipeline.rays.depth.weight)
    torch.nn.init.constant_(pipeline.rays.depth.bias, 2.0)
    folder.mkdir(parents=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in pipeline.state_dict().items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(canonical_json(checked))
    (folder / "origin.json").write_text(json.dumps({"family": "panorecon", "stages": "2d and 3d"}))
    return folder
