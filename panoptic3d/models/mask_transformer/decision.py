"""From what queries say to the segments of the images, and the maps that go on into the volume. Without weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.geometry.precision import widened
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.merge import Kept, Merged, kept_queries, merged
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.slots import CLASS_MAP, Panoptic2D
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import Taxonomy

DEPTH, FEATURES, SEGMENTS = "depth_m", "features", "segments"  # names of `Panoptic2D.maps`
# Maps of the pixel decoder for lifts of several scales: name, stride, and the step between pixels at which they are read.
COARSE = (("stride8", 8, 2), ("stride16", 16, 4), ("stride32", 32, 8))
_REDUCTION = 2  # the maps have half the resolution of the image
_FINE_STRIDE = 4  # stride of mask and depth features


@dataclass(frozen=True, eq=False)
class ImageSegments:
    """One image: the queries that were kept, and what became of them."""

    instances: Instances2D
    merged: Merged


class SegmentDecision:
    """Photos come padded at the right and at the bottom; the cameras say how much of them is image."""

    def __init__(self, config: MaskTransformerConfig, taxonomy: Taxonomy) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(self, features: PixelFeatures, said: QueryMaps, cameras: tuple[Camera, ...]) -> Panoptic2D:
        """The maps are those of half the image's resolution."""
        images = [self.segments(said, member, camera) for member, camera in enumerate(cameras)]
        return Panoptic2D(
            instances=tuple(image.instances for image in images),
            maps=self.maps(features, [image.merged for image in images]),
        )

    def segments(self, said: QueryMaps, member: int, camera: Camera) -> ImageSegments:
        kept = kept_queries(said.class_logits[member], self.config.merge)
        size = _reduced_size(camera)
        masks = _cropped(said.mask_logits[member, kept.rows], size).sigmoid()
        scale = self.config.joint_decoder.depth_scale_m
        depth_m = _cropped(said.depth_share[member, kept.rows] * scale, size)
        result = merged(kept, masks, depth_m, self.taxonomy, scale, self.config.merge)
        return ImageSegments(_instances(kept, masks, said.embeddings[member], result, camera), result)

    def maps(self, features: PixelFeatures, images: Sequence[Merged]) -> dict[str, Tensor]:
        depth_m = torch.stack([image.depth_m for image in images])
        class_map = torch.stack([image.class_map for image in images])
        size = (depth_m.shape[1], depth_m.shape[2])
        given = (features.mask_features, features.depth_features)
        fine = [self._at_pixels(widened(map_), size, _FINE_STRIDE) for map_ in given if map_ is not None]
        classes = class_map if self.config.sampling == "exact" else self._at_pixels(class_map, size, _REDUCTION)
        segments = torch.stack([image.segment for image in images])
        coarse = {
            name: self._at_pixels(widened(map_), size, stride, step)
            for (name, stride, step), map_ in zip(COARSE, reversed(features.coarse), strict=False)
        }
        return {DEPTH: depth_m, FEATURES: torch.cat(fine, dim=1), CLASS_MAP: classes, SEGMENTS: segments, **coarse}

    def _at_pixels(
        self, map_: Float[Tensor, "b c hs ws"], size: tuple[int, int], stride: int, step: int = 1
    ) -> Float[Tensor, "b c h w"]:
        """A map of some stride for every `step`-th pixel of the depth map, the upper left of the padded photo."""
        is_exact = self.config.sampling == "exact"
        axes = []
        for length, cells in zip(size, map_.shape[2:], strict=True):
            pixel = torch.arange(0, length, step, device=map_.device, dtype=map_.dtype) + (0.5 if is_exact else 0.0)
            axes.append(pixel / (cells * stride // _REDUCTION) * 2 - 1)
        y, x = axes
        grid = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), dim=2).expand(len(map_), -1, -1, -1)
        padding = "border" if is_exact else "zeros"
        return F.grid_sample(map_, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _reduced_size(camera: Camera) -> tuple[int, int]:
    return camera.height // _REDUCTION, camera.width // _REDUCTION


def _cropped(maps: Float[Tensor, "n h4 w4"], size: tuple[int, int]) -> Float[Tensor, "n h w"]:
    """From stride 4 to the maps' resolution, without the padding."""
    full = [n * _FINE_STRIDE // _REDUCTION for n in maps.shape[1:]]
    large = F.interpolate(maps[:, None], size=full, mode="bilinear")[:, 0]
    return large[:, : size[0], : size[1]]


def _instances(
    kept: Kept, masks: Float[Tensor, "n h w"], embeddings: Float[Tensor, "q c"], result: Merged, camera: Camera
) -> Instances2D:
    height, width = masks.shape[1:]
    return Instances2D(
        camera=camera.resized(width, height),
        boxes_px=_boxes(masks >= 0.5),
        class_ids=kept.class_ids,
        scores=kept.scores,
        masks=masks,
        is_confident=result.segment_of_query > 0,
        embeddings=embeddings[kept.rows],
    )


def _boxes(masks: Tensor) -> Float[Tensor, "n 4"]:
    """Boxes from the first to the last pixel centre of each mask; an empty mask gets a box of zeros."""
    boxes = torch.zeros((len(masks), 4), device=masks.device)
    for number, mask in enumerate(masks):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        if len(rows):
            boxes[number] = torch.stack((columns[0, 0], rows[0, 0], columns[-1, 0], rows[-1, 0]))
    return boxes
