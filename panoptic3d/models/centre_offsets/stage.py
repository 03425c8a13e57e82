"""Pyramid to maps and instances."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.centre_offsets.config import CentreOffsetsConfig
from panoptic3d.models.centre_offsets.decoder import Decoder, resized
from panoptic3d.models.centre_offsets.grouping import Grouped, grouped
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

SEMANTIC, HEAT, OFFSETS = "semantic_logits", "centre_heat", "centre_offsets"


class CentreOffsets(nn.Module):
    """Maps are raw, at stride 4. Instances are grouped on the map of twice that size, on which BUOL lifts."""

    config_kind: ClassVar = CentreOffsetsConfig

    @classmethod
    def built(cls, config: CentreOffsetsConfig, method: PipelineConfig) -> "CentreOffsets":
        return cls(method.channels, config, method.classes)

    def __init__(
        self,
        trunk_channels: tuple[int, int, int, int],
        config: CentreOffsetsConfig,
        taxonomy: Taxonomy = FRONT3D_TAXONOMY,
    ) -> None:
        super().__init__()
        self.config, self.taxonomy = config, taxonomy
        self.semantic = Decoder(trunk_channels, {SEMANTIC: config.num_classes}, config.semantic, config.norm)
        self.instance = Decoder(trunk_channels, {HEAT: 1, OFFSETS: 2}, config.instance, config.norm)

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        maps = {**self.semantic(pyramid), **self.instance(pyramid)}
        height, width = (2 * n for n in pyramid.stride4.shape[2:])
        instances = self.instances(maps, tuple(camera.resized(width, height) for camera in cameras))
        return Panoptic2D(instances, maps)

    @torch.no_grad()
    def instances(self, maps: Mapping[str, Tensor], cameras: tuple[Camera, ...]) -> tuple[Instances2D, ...]:
        """Decided on maps of the cameras' size."""
        large = maps_at(maps, (cameras[0].height, cameras[0].width))
        class_map = large[SEMANTIC].argmax(dim=1)
        is_thing = self.is_thing(class_map)
        return tuple(
            _as_instances(grouped(class_map[i], is_thing[i], large[HEAT][i, 0], large[OFFSETS][i], self.config), camera)
            for i, camera in enumerate(cameras)
        )

    def is_thing(self, class_map: Int64[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
        table = torch.zeros(self.config.num_classes, dtype=torch.bool, device=class_map.device)
        table[list(self.taxonomy.thing_ids)] = True
        return table[class_map]


def maps_at(maps: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Float[Tensor, "b _ h w"]]:
    """The maps enlarged; offsets are then in pixels of that size.

    Their factor is a whole number (2 and 4 for maps of 60x80 at 120x160 and 240x320), as the weights were trained with.
    """
    large = {name: resized(maps[name], size) for name in (SEMANTIC, HEAT, OFFSETS)}
    factor = (size[0] - 1) // max(maps[OFFSETS].shape[2] - 1, 1)
    return large | {OFFSETS: large[OFFSETS] * factor}


def _as_instances(of: Grouped, camera: Camera) -> Instances2D:
    numbers = torch.arange(1, len(of.class_ids) + 1, device=of.instance.device)
    masks = of.instance[None] == numbers[:, None, None]
    return Instances2D(
        camera=camera,
        boxes_px=_boxes(masks),
        class_ids=of.class_ids,
        scores=of.heat.clamp(0, 1),
        masks=masks.to(of.heat.dtype),
        is_confident=torch.ones(len(numbers), dtype=torch.bool, device=masks.device),
        centres_px=of.centres.flip(1).to(of.heat.dtype),
    )


def _boxes(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """x0, y0, x1, y1 of the outermost pixel centres. Every mask has a pixel."""
    spans = []
    for axis in (1, 2):
        seen = masks.any(dim=axis).int()
        spans.append((seen.argmax(dim=1), seen.shape[1] - 1 - seen.flip(1).argmax(dim=1)))
    (x0, x1), (y0, y1) = spans
    return torch.stack((x0, y0, x1, y1), dim=1).float()
