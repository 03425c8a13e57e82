"""What all views say on one grid: what ids, surfaces, and weights are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from panoptic3d.predictor.fusion.things import ViewThings
from panoptic3d.predictor.fusion.views import PosedScene, ViewVotes
from panoptic3d.structures.grid import VoxelGrid


@dataclass(frozen=True, eq=False)
class GatheredViews:
    """The surest view first."""

    views: tuple[PosedScene, ...]
    place_given: tuple[int, ...]  # of each view, as the caller had them
    grid: VoxelGrid
    candidates: Int64[np.ndarray, "n 3"]
    votes: tuple[ViewVotes, ...]
    things: tuple[ViewThings, ...]
