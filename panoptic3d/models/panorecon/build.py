"""A config to a pipeline. The constructor of every filling is given its own config and nothing else's."""

from panoptic3d.backbones.resnet import ResNet18
from panoptic3d.models.frustum_unet.net import FrustumUNet
from panoptic3d.models.instance_decode.decoder import InstanceDecode
from panoptic3d.models.mask_rcnn.stage import MaskRcnn
from panoptic3d.models.panorecon.config import PanoReconConfig
from panoptic3d.models.panorecon.fit import PhotoFit
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D, RayEstimate, SurfaceLifted
from panoptic3d.models.surface_lift.lift import SurfaceLift
from panoptic3d.models.up_projection.decoder import DepthDecoder
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

TAXONOMIES = {"front3d": FRONT3D_TAXONOMY, "matterport3d": MATTERPORT_TAXONOMY}


PanoReconPipeline = Pipeline[Panoptic2D, RayEstimate, SurfaceLifted, Levels[LabelledLevel, SurfaceLevel]]


def build_panorecon(config: PanoReconConfig) -> PanoReconPipeline:
    """With weights as torch draws them; in evaluation mode."""
    trunk = ResNet18(config.trunk.norm, config.trunk.width)
    pipeline = Pipeline(
        fit=PhotoFit(config.fit),
        trunk=trunk,
        panoptic=MaskRcnn(trunk.channels[2], config.panoptic),
        rays=DepthDecoder(trunk.channels, config.rays),
        lift=SurfaceLift(config.lift),
        voxel_net=FrustumUNet(config.voxel_net),
        decode=InstanceDecode(config.decode, TAXONOMIES[config.taxonomy]),
    )
    return pipeline.eval()
