"""Mask R-CNNs of torchvision, any of them, with weights from a local file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.backbones.pretrained import read_state
from panoptic3d.errors import InputError
from panoptic3d.models.adapters.found import COCO_91, ForeignConfig, Found, instances_of
from panoptic3d.models.adapters.stage import Detector
from panoptic3d.optional import require
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D


def torchvision_detector(
    name: str = "maskrcnn_resnet50_fpn",
    weights: Path | None = None,
    num_classes: int = 91,
    class_of_label: Mapping[int, int] = COCO_91,
    config: ForeignConfig = ForeignConfig(),  # noqa: B008 - frozen
    device: torch.device | str = "cpu",
) -> Detector:
    """A model of `torchvision.models.detection` by its name. Nothing is downloaded; without weights it is untrained."""
    vision = require("torchvision", "the torchvision adapter")
    model = vision.models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    if not hasattr(getattr(model, "roi_heads", None), "mask_predictor"):
        raise InputError(f"torchvision's {name} finds no masks; give the name of one of its Mask R-CNNs.")
    if weights is not None:
        model.load_state_dict(read_state(weights))
    model = model.to(device).eval()

    def detect(photo: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> tuple[Instances2D, ...]:
        answers = model([image.to(device).float() / 255 for image in photo])
        pairs = zip(answers, cameras, strict=True)
        return tuple(instances_of(from_torchvision(said), camera, class_of_label, config) for said, camera in pairs)

    return detect


def from_torchvision(said: Mapping[str, Any]) -> Found:
    """One dictionary of a detection model's answer: masks are `n x 1 x h x w` probabilities."""
    masks = said["masks"].float()
    return Found(
        boxes=said["boxes"].float(), labels=said["labels"].long(), scores=said["scores"].float(), masks=masks[:, 0]
    )
