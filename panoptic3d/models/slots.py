"""The slots of the pipeline: inputs and outputs of each stage. The parts that fill them are the folders beside this file.

`image -> fit -> trunk -> instances in 2D -> depth (and occupancy) along rays -> lift -> voxel net -> decode`. Each stage sees
what the stages before it made, whether or not it looks; docs/adr/0005 goes through four methods. The types of what goes from
stage to stage are parameters of the protocols: a filling that needs more than another gives says so in its signature
(docs/adr/0009).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.errors import InputError
from panoptic3d.geometry.room_planes import Plane
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.prediction import LevelPrediction, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels


@dataclass(frozen=True, eq=False)
class FittedImage:
    """Pixels as the trunk wants them, the cameras of those pixels, and the way back to the photo's.

    `from_photo` is of the picture, not of the cameras: a fit may assume a camera that is not the photo's.
    """

    pixels: Float[Tensor, "b 3 h w"]
    cameras: tuple[Camera, ...]
    from_photo: PixelMap  # photos of a batch have one size


@dataclass(frozen=True, eq=False)
class Panoptic2D:
    """What the image shows: its instances, and for methods that have them maps by name (semantics, centres, offsets)."""

    instances: tuple[Instances2D, ...]  # one an image
    maps: Mapping[str, Tensor] = field(default_factory=dict)

    def scaled(self, factor: float) -> "Panoptic2D":
        """The maps for a scene that is larger by `factor`. Methods with lengths in their maps override this."""
        return self

    def averaged_with(self, mirrored: "Panoptic2D") -> "Panoptic2D":
        """The mean of these maps and those of the mirror image, for methods that find no instances in the image."""
        raise InputError(
            "this method finds its things in the image, and they cannot be averaged with the mirror image's; leave --tta out."
        )


@dataclass(frozen=True, eq=False)
class RayPlanes:
    """Occupancy of planes across the rays; the first lies at depth 0."""

    logits: Float[Tensor, "b planes h w"]
    spacing_m: float

    def __len__(self) -> int:
        return self.logits.shape[1]


@dataclass(frozen=True, eq=False)
class RayEstimate:
    """What lies along the ray of each pixel of a map: the first surface, and for some methods what is behind it."""

    cameras: tuple[Camera, ...]  # of the map
    depth_m: Float[Tensor, "b h w"]
    features: Float[Tensor, "b c h w"]
    occupancy_logits: Float[Tensor, "b planes h w"] | None = None
    plane_spacing_m: float | None = None  # of the planes, the first of which lies at depth 0

    @property
    def planes(self) -> RayPlanes:
        """The planes of the rays. `misfit` checks that a config whose lift needs planes has them."""
        assert self.occupancy_logits is not None
        assert self.plane_spacing_m is not None
        return RayPlanes(self.occupancy_logits, self.plane_spacing_m)

    @property
    def known_spread(self) -> Float[Tensor, "b h w"] | None:
        """Spread of the log depth (the scale of a Laplace distribution), for methods that predict it."""
        return None

    def scaled(self, factor: float) -> "RayEstimate":
        """The estimate for a scene that is larger by `factor`."""
        spacing_m = None if self.plane_spacing_m is None else self.plane_spacing_m * factor
        return replace(self, depth_m=self.depth_m * factor, plane_spacing_m=spacing_m)

    def with_depth(
        self, depth_m: Float[Tensor, "b h w"], is_measured: Bool[Tensor, "b h w"], log_spread: float
    ) -> "RayEstimate":
        """Another depth, of which `is_measured` tells what was not made up and `log_spread` how sure that is."""
        return replace(self, depth_m=depth_m)

    def averaged_with(self, mirrored: "RayEstimate") -> "RayEstimate":
        """The mean of this estimate and that of the mirror image, for methods whose maps can be averaged."""
        raise InputError("this method's rays cannot be averaged with the mirror image's; leave --tta out.")

    def standing_on(self, floor: Plane) -> "RayEstimate":
        """Use a known floor plane for one image. Methods without a floor of their own return the estimate unchanged."""
        return self


@dataclass(frozen=True, eq=False)
class Lifted:
    """Features on voxels, and where these lie in front of each camera.

    `is_in_frustum` are the cells of stride 4 in which a method looks for anything at all. `queries` go by the voxel net to
    methods that compare voxels with queries.
    """

    grids: tuple[VoxelGrid, ...]
    voxels: SparseVoxels
    features: Float[Tensor, "n c"]
    is_in_frustum: Bool[Tensor, "b x4 y4 z4"]
    queries: tuple[Float[Tensor, "_ d"], ...] = ()
    coarse: tuple[
        tuple[Float[Tensor, "_ _"], SparseVoxels], ...
    ] = ()  # features of strides 2, 4, 8 of multi-scale lifts


@dataclass(frozen=True, eq=False)
class SurfaceLifted(Lifted):
    """Voxels around the surface that is seen. Channels: its side and its distance, the pixel's features, one an instance."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OccupancyLifted(Lifted):
    """Voxels that are occupied according to planes along the rays, and the frustum as a mask of voxels."""

    frustum: Bool[Tensor, "b x y z"]


CLASS_MAP = (
    "class_map"  # of `Panoptic2D.maps`, at the size of the depth map: what is lifted beside the features of rays
)


@dataclass(frozen=True, eq=False)
class FeatureLifted(Lifted):
    """The same voxels with features and class channels of the pixel; instances are the queries that go along."""


PanopticT = TypeVar("PanopticT", bound=Panoptic2D)
RaysT = TypeVar("RaysT", bound=RayEstimate)
LiftedT = TypeVar("LiftedT", bound=Lifted)
LevelsT = TypeVar("LevelsT", bound=Levels[LevelPrediction, LevelPrediction])
_PanopticIn = TypeVar("_PanopticIn", bound=Panoptic2D, contravariant=True)
_PanopticOut = TypeVar("_PanopticOut", bound=Panoptic2D, covariant=True)
_RaysIn = TypeVar("_RaysIn", bound=RayEstimate, contravariant=True)
_RaysOut = TypeVar("_RaysOut", bound=RayEstimate, covariant=True)
_LiftedIn = TypeVar("_LiftedIn", bound=Lifted, contravariant=True)
_LiftedOut = TypeVar("_LiftedOut", bound=Lifted, covariant=True)
_LevelsIn = TypeVar("_LevelsIn", bound=Levels[LevelPrediction, LevelPrediction], contravariant=True)
_LevelsOut = TypeVar("_LevelsOut", bound=Levels[LevelPrediction, LevelPrediction], covariant=True)


@dataclass(frozen=True, eq=False)
class Seen(Generic[PanopticT, RaysT]):
    """All that the first half of the drive makes, in 2D. Here maps may be exchanged, by `replace`: true ones in training,
    measured depth, another network's. `grids` None: the lift decides where the volume lies.
    """

    fitted: FittedImage
    pyramid: Pyramid
    panoptic: PanopticT
    rays: RaysT
    grids: tuple[VoxelGrid, ...] | None = None

    def scaled(self, factor: float) -> "Seen[Any, Any]":
        """The 2D outputs for a scene that is larger by `factor`, after a length was given. Pixels stay where they are."""
        return replace(self, panoptic=self.panoptic.scaled(factor), rays=self.rays.scaled(factor))

    def averaged_with(self, mirrored: "Seen[Any, Any]") -> "Seen[Any, Any]":
        """Test-time augmentation: the maps of the photo and of its mirror image, averaged pixel by pixel."""
        panoptic, rays = self.panoptic.averaged_with(mirrored.panoptic), self.rays.averaged_with(mirrored.rays)
        return replace(self, panoptic=panoptic, rays=rays)


@runtime_checkable
class Fit(Protocol):
    """Brings photos of one size to what the trunk was trained on, and takes the cameras along."""

    def view_of(self, camera: Camera) -> Camera:
        """The camera of the picture that this fit wants in place of a photo of `camera`: that of the photo itself, or, for
        networks that know one size alone, that of a window with a border around the photo. It looks the same way.
        """
        ...

    def __call__(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> FittedImage: ...


@runtime_checkable
class PanopticStage(Protocol[_PanopticOut]):
    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> _PanopticOut: ...


@runtime_checkable
class RayStage(Protocol[_PanopticIn, _RaysOut]):
    """Comes after the panoptic stage because some methods compose the depth of an image from that of its segments."""

    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: _PanopticIn) -> _RaysOut: ...


@runtime_checkable
class Lift(Protocol[_PanopticIn, _RaysIn, _LiftedOut]):
    """`grids`, one an image, say where the volume is wanted; without them the lift decides."""

    def __call__(
        self, rays: _RaysIn, panoptic: _PanopticIn, grids: tuple[VoxelGrid, ...] | None = None
    ) -> _LiftedOut: ...


@runtime_checkable
class VoxelNet(Protocol[_LiftedIn, _LevelsOut]):
    """Levels from coarse to fine. A net that training guides or ends early takes further arguments with defaults."""

    def __call__(self, lifted: _LiftedIn) -> _LevelsOut: ...


@runtime_checkable
class Decode(Protocol[_LevelsIn]):
    """Decides: the one place with thresholds that turn a prediction into scenes, one an image."""

    def __call__(self, prediction: Prediction[_LevelsIn]) -> tuple[PanopticScene, ...]: ...
