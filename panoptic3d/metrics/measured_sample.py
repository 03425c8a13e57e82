"""What a measure sees of one image: the prediction and the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import Truth
from panoptic3d.metrics.surface_pair import SurfacePair
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


@dataclass(frozen=True, eq=False)
class MeasuredSample:
    """One image, as predicted and as it is."""

    key: str
    prediction: LabelledVoxels
    truth: Truth
    grid: VoxelGrid
    camera: Camera
    surfaces: SurfacePair
    scores: Mapping[int, float] = field(default_factory=dict)  # by instance id; files of a folder have none
    depth_m: Float32[np.ndarray, "h w"] | None = None  # predicted, at the photo's pixels; files of a folder have none
    true_depth_m: Float32[np.ndarray, "h w"] | None = None
    taxonomy: Taxonomy = FRONT3D_TAXONOMY
