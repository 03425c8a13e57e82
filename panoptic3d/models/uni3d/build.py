"""A config to a pipeline. The constructor of every filling is given its own config and nothing else's."""

from panoptic3d.backbones.resnet50 import ResNet50
from panoptic3d.models.frustum_unet.query_net import QueryUNet
from panoptic3d.models.mask_transformer.stage import MaskTransformer, SegmentDepth
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.query_decode.decoder import QueryDecode
from panoptic3d.models.surface_lift.feature_lift import FeatureLift
from panoptic3d.models.uni3d.config import Uni3dConfig
from panoptic3d.models.uni3d.fit import PaddedFit
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

TAXONOMIES = {"front3d": FRONT3D_TAXONOMY, "matterport3d": MATTERPORT_TAXONOMY}


def build_uni3d(config: Uni3dConfig) -> Pipeline:
    """With weights as torch draws them; in evaluation mode."""
    taxonomy = TAXONOMIES[config.taxonomy]
    trunk = ResNet50(config.trunk.norm, config.trunk.width)
    pipeline = Pipeline(
        fit=PaddedFit(config.fit),
        trunk=trunk,
        panoptic=MaskTransformer(trunk.channels, config.panoptic, taxonomy),
        rays=SegmentDepth(),
        lift=FeatureLift(config.lift),
        voxel_net=QueryUNet(config.voxel_net),
        decode=QueryDecode(config.decode, taxonomy),
    )
    return pipeline.eval()
