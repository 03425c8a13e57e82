"""A config to a pipeline, whose types are BUOL's: a config with other fillings gives what theirs are."""

from panoptic3d.models.buol.config import BuolConfig
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import OccupancyLifted, Panoptic2D, RayEstimate
from panoptic3d.structures.prediction import CentreLevel, LevelPrediction, Levels

BuolPipeline = Pipeline[Panoptic2D, RayEstimate, OccupancyLifted, Levels[LevelPrediction, CentreLevel]]


def build_buol(config: BuolConfig) -> BuolPipeline:
    """With weights as torch draws them; in evaluation mode."""
    return config.build()
