"""A config to a pipeline, whose types are Uni-3D's: a config with other fillings gives what theirs are."""

from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FeatureLifted, Panoptic2D, RayEstimate
from panoptic3d.models.uni3d.config import Uni3dConfig
from panoptic3d.structures.prediction import InstanceSurface, LevelPrediction, Levels

Uni3dPipeline = Pipeline[Panoptic2D, RayEstimate, FeatureLifted, Levels[LevelPrediction, InstanceSurface]]


def build_uni3d(config: Uni3dConfig) -> Uni3dPipeline:
    """With weights as torch draws them; in evaluation mode."""
    return config.build()
