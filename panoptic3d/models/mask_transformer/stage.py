"""The panoptic slot, and the depth slot that goes with it: the mask transformer finds segments, their depth and features."""

from typing import ClassVar

from torch import nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig, SegmentDepthConfig
from panoptic3d.models.mask_transformer.decision import DEPTH, FEATURES, SegmentDecision
from panoptic3d.models.mask_transformer.joint_decoder import JointDecoder
from panoptic3d.models.mask_transformer.pixel_decoder import PixelDecoder
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.taxonomy import Taxonomy


class MaskTransformer(nn.Module):
    """`decide` turns what the queries say into segments; training looks at the two decoders themselves."""

    config_kind: ClassVar = MaskTransformerConfig

    @classmethod
    def built(cls, config: MaskTransformerConfig, method: PipelineConfig) -> "MaskTransformer":
        return cls(method.channels, config, method.classes)

    def __init__(self, channels: tuple[int, int, int, int], config: MaskTransformerConfig, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.config = config
        self.pixel_decoder = PixelDecoder(channels, config.pixel_decoder)
        self.joint_decoder = JointDecoder(config.pixel_decoder.width, config.num_classes, config.joint_decoder)
        self.decide = SegmentDecision(config, taxonomy)

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        features = self.pixel_decoder(pyramid)
        (said,) = self.joint_decoder(features)
        return self.decide(features, said, cameras)


class SegmentDepth:
    """The depth slot: what the panoptic stage has composed from its segments. Without weights."""

    config_kind: ClassVar = SegmentDepthConfig

    @classmethod
    def built(cls, config: SegmentDepthConfig, method: PipelineConfig) -> "SegmentDepth":
        return cls()

    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: Panoptic2D) -> RayEstimate:
        depth_m = panoptic.maps[DEPTH]
        size = (depth_m.shape[2], depth_m.shape[1])
        return RayEstimate(
            cameras=tuple(camera.resized(*size) for camera in cameras),
            depth_m=depth_m,
            features=panoptic.maps[FEATURES],
        )
