"""The slots of the pipeline: what each stage is given and what it owes. A filling is a folder beside this file.

`image -> fit -> trunk -> instances in 2D -> depth (and occupancy) along rays -> lift -> voxel net -> decode`. Each stage sees
what the stages before it made, whether or not it looks; docs/adr/0005 goes through four methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import LevelPrediction, Prediction
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class FittedImage:
    """Pixels as the trunk wants them, and the cameras of those pixels."""

    pixels: Float[Tensor, "b 3 h w"]
    cameras: tuple[Camera, ...]


@dataclass(frozen=True, eq=False)
class Panoptic2D:
    """What the image shows: its instances, and for methods that have them maps by name (semantics, centres, offsets)."""

    instances: tuple[Instances2D, ...]  # one an image
    maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RayEstimate:
    """What lies along the ray of each pixel of a map: the first surface, and for some methods what is behind it."""

    cameras: tuple[Camera, ...]  # of the map
    depth_m: Float[Tensor, "b h w"]
    features: Float[Tensor, "b c h w"]
    occupancy_logits: Float[Tensor, "b planes h w"] | None = None
    plane_spacing_m: float | None = None  # of the planes, the first of which lies at depth 0


@dataclass(frozen=True, eq=False)
class Lifted:
    """Features on voxels, and where these lie in front of each camera.

    `is_in_frustum` are the cells of stride 4 in which a method looks for anything at all, `frustum` the same voxel by voxel
    where the lift knows it. `queries` go by the voxel net to methods that compare voxels with queries.
    """

    grids: tuple[VoxelGrid, ...]
    voxels: SparseVoxels
    features: Float[Tensor, "n c"]
    is_in_frustum: Bool[Tensor, "b x4 y4 z4"]
    queries: tuple[Float[Tensor, "_ d"], ...] = ()
    coarse: tuple[
        tuple[Float[Tensor, "_ _"], SparseVoxels], ...
    ] = ()  # features of strides 2, 4, 8 of multi-scale lifts
    frustum: Bool[Tensor, "b x y z"] | None = None


@runtime_checkable
class Fit(Protocol):
    """Brings photos of one size to what the trunk was trained on, and takes the cameras along."""

    def __call__(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> FittedImage: ...


@runtime_checkable
class PanopticStage(Protocol):
    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D: ...


@runtime_checkable
class RayStage(Protocol):
    """Comes after the panoptic stage because some methods compose the depth of an image from that of its segments."""

    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: Panoptic2D) -> RayEstimate: ...


@runtime_checkable
class Lift(Protocol):
    def __call__(self, rays: RayEstimate, panoptic: Panoptic2D) -> Lifted: ...


@runtime_checkable
class VoxelNet(Protocol):
    """Levels from coarse to fine; `up_to_stride` ends early, as the first steps of a training do."""

    def __call__(self, lifted: Lifted, up_to_stride: int = 1) -> tuple[LevelPrediction, ...]: ...


@runtime_checkable
class Decode(Protocol):
    """Decides: the one place with thresholds that turn a prediction into scenes, one an image."""

    def __call__(self, prediction: Prediction) -> tuple[PanopticScene, ...]: ...
