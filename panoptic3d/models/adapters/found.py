"""One form for the output of detectors of other packages, and its conversion to `Instances2D`."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import BED, CHAIR, OTHER, SOFA, TABLE

# Labels of COCO in the numbering of torchvision (91 categories with gaps), and in that of detectron2 (80 without). COCO has
# no cabinet, desk, dresser or lamp; what stands or hangs in rooms besides is other furniture.
COCO_91: Mapping[int, int] = {
    62: CHAIR,
    63: SOFA,
    65: BED,
    67: TABLE,
    64: OTHER,
    72: OTHER,
    78: OTHER,
    79: OTHER,
    82: OTHER,
}
COCO_80: Mapping[int, int] = {
    56: CHAIR,
    57: SOFA,
    59: BED,
    60: TABLE,
    58: OTHER,
    62: OTHER,
    68: OTHER,
    69: OTHER,
    72: OTHER,
}


class ForeignConfig(Config):
    min_score: float = Field(default=0.3, ge=0, le=1)  # below, a detection is dropped
    confident_score: float = Field(default=0.5, ge=0, le=1)  # above, it is lifted
    max_detections: int = Field(default=100, ge=1)


@dataclass(frozen=True, eq=False)
class Found:
    """Detections of one image, in the order of the detector.

    Boxes run between the outer borders of their pixels: one of the pixels 3 to 5 is (3, 6), as in torchvision and detectron2.
    """

    boxes: Float[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]
    masks: Float[Tensor, "n h w"]  # probabilities; 0 and 1 for detectors with binary masks


def instances_of(found: Found, camera: Camera, class_of_label: Mapping[int, int], config: ForeignConfig) -> Instances2D:
    """The best detections whose class is in the taxonomy, by class and then in the detector's order, as our stage does."""
    class_ids = torch.tensor([class_of_label.get(label, 0) for label in found.labels.tolist()], dtype=torch.int64)
    class_ids = class_ids.to(found.scores.device)
    rows = ((class_ids > 0) & (found.scores > config.min_score)).nonzero()[:, 0]
    rows = rows[found.scores[rows].argsort(descending=True, stable=True)[: config.max_detections]].sort().values
    rows = rows[class_ids[rows].argsort(stable=True)]
    edge = found.boxes.new_tensor([0, 0, 1, 1])
    return Instances2D(
        camera=camera,
        boxes_px=found.boxes[rows] - edge,
        class_ids=class_ids[rows],
        scores=found.scores[rows],
        masks=found.masks[rows],
        is_confident=found.scores[rows] > config.confident_score,
    )


def boxes_of_masks(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """Between the outer borders of the first and the last pixel; an empty mask has an empty box at the origin."""
    spans = []
    for axis in (1, 2):  # over rows: columns that are met, and the other way round
        is_met = masks.any(dim=axis)
        index = torch.arange(is_met.shape[1], device=masks.device)
        low = torch.where(is_met, index, is_met.shape[1]).amin(dim=1)
        high = torch.where(is_met, index + 1, 0).amax(dim=1)
        spans.append((torch.where(high > 0, low, 0), high))
    (x1, x2), (y1, y2) = spans
    return torch.stack((x1, y1, x2, y2), dim=1).float()
