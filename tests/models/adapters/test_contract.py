"""The packages themselves, where they are installed: their models answer in the form that the conversions read."""

from pathlib import Path

import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.models.adapters.detectron2_detector import detectron2_detector
from panoptic3d.models.adapters.found import COCO_91, ForeignConfig
from panoptic3d.models.adapters.stage import Detector
from panoptic3d.models.adapters.torchvision_detector import torchvision_detector
from panoptic3d.optional import status
from panoptic3d.structures.camera import Camera

CAMERA = Camera.from_fov(60.0, 96, 64)
EVERYTHING = ForeignConfig(min_score=0.0, confident_score=0.0, max_detections=10)


def needs(package: str) -> None:
    state, why = status(package)
    if state != "works":
        pytest.skip(f"{package} is {state} here: {why}")


def check(detector: Detector) -> None:
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = detector(image, (CAMERA, CAMERA))
    for instances in found:
        assert instances.masks.shape == (len(instances), 64, 96)
        assert bool(((instances.masks >= 0) & (instances.masks <= 1)).all())
        assert bool((instances.class_ids.diff() >= 0).all())
        assert bool((instances.boxes_px[:, 2:] >= instances.boxes_px[:, :2] - 1).all())


@pytest.mark.slow
def test_torchvision(tmp_path: Path) -> None:
    needs("torchvision")
    every_label = {label: COCO_91.get(label, 9) for label in range(1, 91)}
    torch.manual_seed(0)
    check(torchvision_detector(class_of_label=every_label, config=EVERYTHING))
    with pytest.raises(InputError, match="finds no masks"):
        torchvision_detector("fasterrcnn_resnet50_fpn")


@pytest.mark.slow
def test_detectron2(tmp_path: Path) -> None:
    """With its own base config: a Mask R-CNN of stride 16, as torch draws it."""
    needs("detectron2")
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    settings = get_cfg()
    settings.MODEL.MASK_ON, settings.MODEL.DEVICE = True, "cpu"
    (tmp_path / "config.yaml").write_text(settings.dump())
    torch.save({"model": build_model(settings).state_dict()}, tmp_path / "weights.pth")
    every_label = dict.fromkeys(range(80), 9)
    check(detectron2_detector(tmp_path / "config.yaml", tmp_path / "weights.pth", every_label, EVERYTHING))
