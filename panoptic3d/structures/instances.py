"""The instances of one image as any 2D stage finds them: the one noun that lifts and decoders of every method read."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.structures.camera import Camera


@dataclass(frozen=True, eq=False)
class Instances2D:
    """Detections in the order of their stage, which is the order of their ids. An image without any is ordinary.

    A detector may hand on detections that it does not trust: they are numbered, and `is_confident` is false for them.
    `embeddings` are for methods whose voxels are compared with queries, `centres_px` for those that group pixels and voxels
    by the centre at which they point.
    """

    camera: Camera  # of the image in which boxes and masks are given
    boxes_px: Float[Tensor, "n 4"]  # x1, y1, x2, y2: centres of the first and the last pixel
    class_ids: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]
    masks: Float[Tensor, "n h w"]  # probability of each pixel, 0 outside of the box's reach
    is_confident: Bool[Tensor, " n"]
    embeddings: Float[Tensor, "n c"] | None = None
    centres_px: Float[Tensor, "n 2"] | None = None  # (u, v) in pixels of `camera`

    def __len__(self) -> int:
        return self.boxes_px.shape[0]

    @classmethod
    def empty(cls, camera: Camera, device: torch.device | str = "cpu") -> "Instances2D":
        return cls(
            camera=camera,
            boxes_px=torch.zeros(0, 4, device=device),
            class_ids=torch.zeros(0, dtype=torch.int64, device=device),
            scores=torch.zeros(0, device=device),
            masks=torch.zeros(0, camera.height, camera.width, device=device),
            is_confident=torch.zeros(0, dtype=torch.bool, device=device),
        )

    def picked(self, rows: Int64[Tensor, " k"]) -> "Instances2D":
        """These detections, in the given order."""
        return Instances2D(
            camera=self.camera,
            boxes_px=self.boxes_px[rows],
            class_ids=self.class_ids[rows],
            scores=self.scores[rows],
            masks=self.masks[rows],
            is_confident=self.is_confident[rows],
            embeddings=None if self.embeddings is None else self.embeddings[rows],
            centres_px=None if self.centres_px is None else self.centres_px[rows],
        )

    @property
    def confident(self) -> "Instances2D":
        return self.picked(self.is_confident.nonzero()[:, 0])
