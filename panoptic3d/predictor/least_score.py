"""Leave out things with low scores."""

from dataclasses import replace

import torch

from panoptic3d.errors import InputError
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene


def check_min_score(min_score: float | int) -> None:
    if isinstance(min_score, bool) or not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
        raise InputError(f"the least score of a thing is a number from 0 to 1, not {min_score!r}.")


def without_unsure(scene: PanopticScene, min_score: float | int) -> PanopticScene:
    """Without the things that score less: their voxels become free space. Stuff stays, whatever it scores."""
    check_min_score(min_score)
    unsure = [instance_id for instance_id, score in scene.scores.items() if score < min_score]
    if not unsure:
        return scene
    is_unsure = torch.isin(scene.instance, scene.instance.new_tensor(unsure))
    return replace(
        scene,
        distance_vox=scene.distance_vox.masked_fill(is_unsure, DISTANCE_TRUNCATION_VOX),
        semantic=scene.semantic.masked_fill(is_unsure, 0),
        instance=scene.instance.masked_fill(is_unsure, 0),
        scores={i: score for i, score in scene.scores.items() if score >= min_score},
    )
