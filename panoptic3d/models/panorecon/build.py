"""A config to a pipeline, whose types are PanoRecon's: a config with other fillings gives what theirs are."""

from panoptic3d.models.panorecon.config import PanoReconConfig
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D, RayEstimate, SurfaceLifted
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel

PanoReconPipeline = Pipeline[Panoptic2D, RayEstimate, SurfaceLifted, Levels[LabelledLevel, SurfaceLevel]]


def build_panorecon(config: PanoReconConfig) -> PanoReconPipeline:
    """With weights as torch draws them; in evaluation mode."""
    return config.build()
