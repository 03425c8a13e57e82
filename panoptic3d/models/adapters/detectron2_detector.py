"""Models of detectron2: Mask R-CNNs by their instances, panoptic ones by their segments."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.models.adapters.found import COCO_80, ForeignConfig, Found, boxes_of_masks, instances_of
from panoptic3d.models.adapters.stage import Detector
from panoptic3d.optional import require
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D


def detectron2_detector(
    config_file: Path,
    weights: Path,
    class_of_label: Mapping[int, int] = COCO_80,
    config: ForeignConfig = ForeignConfig(),  # noqa: B008 - frozen
    device: torch.device | str = "cpu",
) -> Detector:
    """From its own config file and local weights. Its images are BGR from 0 to 255, as in its model zoo."""
    require("detectron2", "the detectron2 adapter")
    settings = importlib.import_module("detectron2.config").get_cfg()
    settings.merge_from_file(str(config_file))
    settings.MODEL.DEVICE, settings.MODEL.WEIGHTS = str(device), str(weights)
    model = importlib.import_module("detectron2.modeling").build_model(settings).eval()
    importlib.import_module("detectron2.checkpoint").DetectionCheckpointer(model).load(str(weights))

    def detect(photo: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> tuple[Instances2D, ...]:
        height, width = photo.shape[2:]
        answers = model([{"image": image.flip(0).float(), "height": height, "width": width} for image in photo])
        pairs = zip(answers, cameras, strict=True)
        return tuple(instances_of(from_detectron2(said), camera, class_of_label, config) for said, camera in pairs)

    return detect


def from_detectron2(said: Mapping[str, Any]) -> Found:
    """The answer for one image: its panoptic segments where it has them, its instances otherwise."""
    if "panoptic_seg" in said:
        return _from_segments(*said["panoptic_seg"])
    instances = said["instances"]
    return Found(
        boxes=instances.pred_boxes.tensor.float(),
        labels=instances.pred_classes.long(),
        scores=instances.scores.float(),
        masks=instances.pred_masks.float(),
    )


def _from_segments(segment_of_pixel: Tensor, segments: Sequence[Mapping[str, Any]]) -> Found:
    """Stuff is left to the voxel net. A model that gives its segments no score stands by all of them."""
    things = [segment for segment in segments if segment["isthing"]]
    ids = torch.tensor([segment["id"] for segment in things], dtype=segment_of_pixel.dtype).to(segment_of_pixel.device)
    masks = segment_of_pixel[None] == ids[:, None, None]
    return Found(
        boxes=boxes_of_masks(masks),
        labels=ids.new_tensor([segment["category_id"] for segment in things]).long(),
        scores=torch.tensor([float(segment.get("score", 1.0)) for segment in things]).to(ids.device),
        masks=masks.float(),
    )
