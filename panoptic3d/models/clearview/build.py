"""A config to a pipeline."""

from panoptic3d.backbones.efficientnet_lite import EfficientNetLite
from panoptic3d.backbones.feature_pyramid import FeaturePyramid
from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.models.clearview.decode import SeedDecode
from panoptic3d.models.clearview.fit import ScaledFit
from panoptic3d.models.clearview.gather import Gather, Gathered, num_gathered
from panoptic3d.models.clearview.maps import LayeredEstimate, LayeredRays, PixelClasses
from panoptic3d.models.clearview.voxel_net import ClearviewNet
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.prediction import LevelPrediction, Levels, SeededLevel

ClearviewPipeline = Pipeline[Panoptic2D, LayeredEstimate, Gathered, Levels[LevelPrediction, SeededLevel]]


def build_clearview(config: ClearviewConfig) -> ClearviewPipeline:
    """With weights as torch draws them; in evaluation mode."""
    width, net = config.trunk.width, config.voxel_net
    gathered = num_gathered(config.rays.width, net.num_classes, config.rays, config.pixels)
    pipeline = Pipeline(
        fit=ScaledFit(config.fit),
        trunk=FeaturePyramid(EfficientNetLite(config.trunk.name), width),
        panoptic=PixelClasses(width, net.num_classes, config.pixels.has_votes),
        rays=LayeredRays(width, config.rays),
        lift=Gather(config.lift),
        voxel_net=ClearviewNet(gathered, net, config.seeds),
        decode=SeedDecode(config.decode, net.truncation_vox),
    )
    return pipeline.eval()
