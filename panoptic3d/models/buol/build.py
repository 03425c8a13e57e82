"""A config to a pipeline. The constructor of every filling is given its own config and nothing else's."""

from panoptic3d.backbones.resnet50 import ResNet50
from panoptic3d.models.buol.config import BuolConfig
from panoptic3d.models.centre_grouping.decoder import CentreGrouping
from panoptic3d.models.centre_offsets.stage import CentreOffsets
from panoptic3d.models.occupancy_lift.lift import OccupancyLift
from panoptic3d.models.panorecon.fit import PhotoFit
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import OccupancyLifted, Panoptic2D, RayEstimate
from panoptic3d.models.sparse_deeplab.net import SparseDeepLab
from panoptic3d.models.up_projection.decoder import DepthDecoder
from panoptic3d.structures.prediction import CentreLevel, LevelPrediction, Levels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

TAXONOMIES = {"front3d": FRONT3D_TAXONOMY, "matterport3d": MATTERPORT_TAXONOMY}


BuolPipeline = Pipeline[Panoptic2D, RayEstimate, OccupancyLifted, Levels[LevelPrediction, CentreLevel]]


def build_buol(config: BuolConfig) -> BuolPipeline:
    """With weights as torch draws them; in evaluation mode."""
    taxonomy = TAXONOMIES[config.taxonomy]
    trunk = ResNet50(config.trunk.norm, config.trunk.width)
    pipeline = Pipeline(
        fit=PhotoFit(config.fit),
        trunk=trunk,
        panoptic=CentreOffsets(trunk.channels, config.panoptic, taxonomy),
        rays=DepthDecoder(trunk.channels, config.rays),
        lift=OccupancyLift(config.lift, taxonomy),
        voxel_net=SparseDeepLab(config.voxel_net),
        decode=CentreGrouping(config.decode, taxonomy),
    )
    return pipeline.eval()
