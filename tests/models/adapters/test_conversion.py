"""What foreign detectors say becomes `Instances2D`: stand-ins with the fields that the packages document."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from panoptic3d.backbones.pretrained import read_state
from panoptic3d.backbones.resnet import ResNet18Config
from panoptic3d.errors import BadFileError, MissingPartError
from panoptic3d.models.adapters.detectron2_detector import detectron2_detector, from_detectron2
from panoptic3d.models.adapters.found import COCO_80, COCO_91, ForeignConfig, boxes_of_masks, instances_of
from panoptic3d.models.adapters.stage import with_detector
from panoptic3d.models.adapters.torchvision_detector import from_torchvision, torchvision_detector
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import PanoReconConfig
from panoptic3d.models.panorecon.fit import FitConfig
from panoptic3d.models.slots import PanopticStage
from panoptic3d.optional import is_installed
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import CHAIR, OTHER, SOFA

CAMERA = Camera(64.0, 64.0, 31.5, 31.5, width=64, height=64)
BOXES = torch.tensor([[10.0, 12, 20, 22], [30.0, 30, 40, 50], [0.0, 0, 64, 64], [30.0, 30, 40, 50]])
SCORES = torch.tensor([0.9, 0.4, 0.99, 0.2])


def masks() -> torch.Tensor:
    """The pixels that the boxes cover."""
    masks = torch.zeros(4, 64, 64, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, BOXES.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def torchvision_said(labels: list[int]) -> dict[str, torch.Tensor]:
    return {"boxes": BOXES, "labels": torch.tensor(labels), "scores": SCORES, "masks": masks()[:, None] * 0.75}


def detectron2_said(labels: list[int]) -> dict[str, SimpleNamespace]:
    boxes = SimpleNamespace(tensor=BOXES)
    classes = torch.tensor(labels)
    return {"instances": SimpleNamespace(pred_boxes=boxes, pred_classes=classes, scores=SCORES, pred_masks=masks())}


@pytest.mark.parametrize("package", ["torchvision", "detectron2"])
def test_both_say_the_same(package: str) -> None:
    """A couch, an unsure chair, a person (no class of ours), and a chair that is too unsure."""
    if package == "torchvision":
        found, names = from_torchvision(torchvision_said([63, 62, 1, 62])), COCO_91
    else:
        found, names = from_detectron2(detectron2_said([57, 56, 0, 56])), COCO_80
    instances = instances_of(found, CAMERA, names, ForeignConfig())
    assert instances.class_ids.tolist() == [CHAIR, SOFA]  # by class
    assert instances.is_confident.tolist() == [False, True]
    assert instances.boxes_px.tolist() == [
        [30, 30, 39, 49],
        [10, 12, 19, 21],
    ]  # centres of the first and the last pixel
    assert instances.masks.shape == (2, 64, 64)
    assert instances.masks[1].gt(0).sum() == 100
    few = instances_of(found, CAMERA, names, ForeignConfig(max_detections=1))
    assert few.class_ids.tolist() == [SOFA]


def test_segments_of_a_panoptic_model() -> None:
    pixels = torch.zeros(64, 64, dtype=torch.int32)
    pixels[12:22, 10:20], pixels[40:, :] = 7, 3
    segments = [
        {"id": 7, "isthing": True, "category_id": 57, "score": 0.8},
        {"id": 3, "isthing": False, "category_id": 44},
    ]
    found = from_detectron2({"panoptic_seg": (pixels, segments), "instances": None})
    instances = instances_of(found, CAMERA, COCO_80, ForeignConfig())
    assert instances.class_ids.tolist() == [SOFA]
    assert instances.boxes_px.tolist() == [[10, 12, 19, 21]]
    unscored = from_detectron2({"panoptic_seg": (pixels, [{"id": 7, "isthing": True, "category_id": 58}])})
    assert instances_of(unscored, CAMERA, COCO_80, ForeignConfig()).class_ids.tolist() == [OTHER]
    nothing = from_detectron2({"panoptic_seg": (pixels, segments[1:])})
    assert len(instances_of(nothing, CAMERA, COCO_80, ForeignConfig())) == 0


def test_boxes_of_masks_end_behind_their_last_pixel() -> None:
    assert torch.equal(boxes_of_masks(masks()), BOXES)
    assert boxes_of_masks(torch.zeros(1, 4, 5, dtype=torch.bool)).tolist() == [[0, 0, 0, 0]]


def test_the_photo_reaches_the_detector_unharmed() -> None:
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    seen = []

    def detect(photo: torch.Tensor, cameras: tuple[Camera, ...]) -> tuple[Instances2D, ...]:
        seen.append(photo)
        return tuple(Instances2D.empty(camera) for camera in cameras)

    config = PanoReconConfig(fit=FitConfig(width=64, height=64), trunk=ResNet18Config(width=16))
    own = build_panorecon(config)
    network = with_detector(own, detect)
    assert isinstance(network.panoptic, PanopticStage)
    assert not any(name.startswith("panoptic.") for name in network.state_dict())
    assert network.voxel_net is own.voxel_net
    fitted = network.fit(image, (CAMERA, CAMERA))
    assert len(network.panoptic(network.trunk(fitted.pixels), fitted.cameras).instances) == 2
    assert torch.equal(seen[0], image)


def test_weights_are_read_and_not_run(tmp_path: Path) -> None:
    state = {"a": torch.ones(2)}
    torch.save(state, tmp_path / "bare.pth")
    torch.save({"model": state}, tmp_path / "model.pth")
    assert torch.equal(read_state(tmp_path / "bare.pth")["a"], read_state(tmp_path / "model.pth")["a"])
    torch.save({"model": Path("x")}, tmp_path / "evil.pth")
    with pytest.raises(BadFileError, match="cannot be read as weights"):
        read_state(tmp_path / "evil.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(BadFileError, match="no state dict"):
        read_state(tmp_path / "list.pth")


@pytest.mark.skipif(is_installed("torchvision"), reason="torchvision is here")
def test_without_torchvision_one_sentence() -> None:
    with pytest.raises(MissingPartError, match="the torchvision adapter needs torchvision"):
        torchvision_detector()


@pytest.mark.skipif(is_installed("detectron2"), reason="detectron2 is here")
def test_without_detectron2_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match="the detectron2 adapter needs detectron2"):
        detectron2_detector(tmp_path / "config.yaml", tmp_path / "weights.pth")
