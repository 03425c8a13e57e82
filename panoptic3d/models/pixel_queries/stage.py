"""Clearview's maps, and a query for each segment of them: what its pixels look like on average, and where they lie."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.clearview.maps import NUM_READ, SEMANTICS, ClassMaps, PixelClasses
from panoptic3d.models.clearview.rays import ray_slopes
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.pixel_queries.config import PixelQueriesConfig
from panoptic3d.models.pixel_queries.segments import Segments, segments_of
from panoptic3d.models.slots import CLASS_MAP
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import Taxonomy

PIXELS = "pixel_features"  # key in `Panoptic2D.maps` of the features that queries are made from
_NUM_PLACE = 4  # mean and spread of the slopes of a segment's rays


class PixelQueries(PixelClasses):
    """Weights of `pixel-classes` fit; `embed` alone is new. Segments come from the class map, or from the caller: `given`."""

    config_kind: ClassVar = PixelQueriesConfig

    @classmethod
    def built(cls, config: PixelQueriesConfig, method: PipelineConfig) -> "PixelQueries":
        return cls(method.channels[0], method.classes, config)

    def __init__(self, num_in: int, taxonomy: Taxonomy, config: PixelQueriesConfig) -> None:
        super().__init__(num_in, len(taxonomy), config.has_votes)
        self.config, self.taxonomy = config, taxonomy
        width = config.num_channels
        num_read = NUM_READ + len(taxonomy) + _NUM_PLACE
        self.embed = nn.Sequential(nn.Linear(num_read, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> ClassMaps:
        features = self.read(pyramid.stride4, cameras)
        maps = self.maps(features)
        probabilities = maps[SEMANTICS].softmax(dim=1)
        found = [segments_of(one, self.taxonomy, self.config.min_pixels) for one in probabilities.detach()]
        seen = ClassMaps((), maps | {PIXELS: features, CLASS_MAP: probabilities})
        return replace(seen, instances=self._instances(seen, found, cameras))

    def given(self, seen: ClassMaps, segments: Sequence[Segments], cameras: tuple[Camera, ...]) -> ClassMaps:
        """With segments from elsewhere, one set an image at the size of the maps: true ones, or another network's."""
        class_map = torch.stack([one.class_map(len(self.taxonomy)) for one in segments])
        known = replace(seen, maps={**seen.maps, CLASS_MAP: class_map})
        return replace(known, instances=self._instances(known, segments, cameras))

    def _instances(
        self, seen: ClassMaps, segments: Sequence[Segments], cameras: tuple[Camera, ...]
    ) -> tuple[Instances2D, ...]:
        pixels = seen.maps[PIXELS]
        places = ray_slopes(pixels, cameras)
        size = (pixels.shape[3], pixels.shape[2])
        return tuple(
            _as_instances(one, self.embed(self._read(one, look, place)), camera.resized(*size))
            for one, look, place, camera in zip(segments, pixels, places, cameras, strict=True)
        )

    def _read(
        self, segments: Segments, look: Float[Tensor, "c h w"], place: Float[Tensor, "2 h w"]
    ) -> Float[Tensor, "n f"]:
        """Means over the pixels of each segment; the spread of its place is a standard deviation."""
        weight = segments.masks.flatten(1).to(look.dtype)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
        look_mean, middle = weight @ look.flatten(1).t(), weight @ place.flatten(1).t()
        spread = (weight @ place.square().flatten(1).t() - middle.square()).clamp(min=0).sqrt()
        kind = F.one_hot(segments.class_ids, len(self.taxonomy)).to(look.dtype)
        return torch.cat((look_mean, kind, middle, spread), dim=1)


def _as_instances(segments: Segments, embeddings: Float[Tensor, "n c"], camera: Camera) -> Instances2D:
    return Instances2D(
        camera=camera,
        boxes_px=_boxes(segments.masks),
        class_ids=segments.class_ids,
        scores=segments.scores,
        masks=segments.masks.to(embeddings.dtype),
        is_confident=torch.ones(len(segments.class_ids), dtype=torch.bool, device=embeddings.device),
        embeddings=embeddings,
    )


def _boxes(masks: Tensor) -> Float[Tensor, "n 4"]:
    """x0, y0, x1, y1 of the outermost pixel centres; zeros for a mask without a pixel."""
    boxes = torch.zeros((len(masks), 4), device=masks.device)
    for number, mask in enumerate(masks):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        if len(rows):
            boxes[number] = torch.stack((columns[0, 0], rows[0, 0], columns[-1, 0], rows[-1, 0]))
    return boxes
