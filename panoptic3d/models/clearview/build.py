"""A config to a pipeline, whose types are clearview's: a config with other fillings gives what theirs are."""

from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.models.clearview.gather import Gathered
from panoptic3d.models.clearview.maps import ClassMaps, LayeredEstimate
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.prediction import LevelPrediction, Levels, SeededLevel

ClearviewPipeline = Pipeline[ClassMaps, LayeredEstimate, Gathered, Levels[LevelPrediction, SeededLevel]]


def build_clearview(config: ClearviewConfig) -> ClearviewPipeline:
    """With weights as torch draws them; in evaluation mode."""
    return config.build()
