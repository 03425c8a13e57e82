"""The predicted and the true surface of one image, as distance fields and as points."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Integer

from panoptic3d.metrics.surface_points import SurfacePoints, points_of_field
from panoptic3d.structures.grid import VoxelGrid


@dataclass(frozen=True, eq=False)
class StoredField:
    """A distance field as files hold it: some grid points, and one distance everywhere else."""

    linear_index: Integer[np.ndarray, " n"]
    distance_vox: Float[np.ndarray, " n"]
    elsewhere_vox: float

    def dense(self, shape: tuple[int, int, int]) -> Float32[np.ndarray, "x y z"]:
        volume = np.full(shape, self.elsewhere_vox, dtype=np.float32)
        volume.reshape(-1)[self.linear_index] = self.distance_vox
        return volume


@dataclass(frozen=True, eq=False)
class SurfacePair:
    """Both fields of one image. Their points are found once, when the first protocol asks for them."""

    grid: VoxelGrid
    prediction: StoredField
    thing_index: Integer[np.ndarray, " m"]  # grid points of predicted things
    truth: StoredField

    @cached_property
    def true_points(self) -> SurfacePoints:
        return points_of_field(self.truth.dense(self.grid.shape), self.grid)

    @cached_property
    def predicted_points(self) -> tuple[SurfacePoints, SurfacePoints]:
        """Predicted surface points: of everything, and of things alone."""
        field, is_thing = self.prediction.dense(self.grid.shape), np.zeros(self.grid.shape, dtype=bool)
        is_thing.reshape(-1)[self.thing_index] = True
        return points_of_field(field, self.grid), points_of_field(field, self.grid, is_thing)
