"""The voxel grid: where its points lie in front of the camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.given import are_finite_numbers, is_finite_number, is_whole_number

MAX_POINTS = 512**3  # of a grid in a file: more would be a trap for the memory


@dataclass(frozen=True)
class VoxelGrid:
    """A regular grid in the camera frame: `index = point_m / voxel_size_m + camera_index`.

    Axes i, j, k follow the camera's x (right), y (down), z (forward). The value at index (i, j, k) is sampled *at* that
    point. `camera_index` is the index, usually outside of the grid and not whole, at which the camera centre lies.
    """

    shape: tuple[int, int, int]
    voxel_size_m: float
    camera_index: tuple[float, float, float]

    def __post_init__(self) -> None:
        is_box = isinstance(self.shape, Sequence) and len(self.shape) == 3
        if not is_box or not all(is_whole_number(size, 1) for size in self.shape):
            raise InputError(f"a grid has three whole numbers of points, each at least 1, not {self.shape!r}.")
        if not is_finite_number(self.voxel_size_m) or self.voxel_size_m <= 0:
            raise InputError(f"voxels have a finite side above 0 m, not {self.voxel_size_m!r}.")
        if not are_finite_numbers(self.camera_index, 3):
            raise InputError(f"the camera has three finite indices in a grid, not {self.camera_index!r}.")

    def index_from_camera(self, points_m: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return points_m / self.voxel_size_m + points_m.new_tensor(self.camera_index)

    def camera_from_index(self, index: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return (index - index.new_tensor(self.camera_index)) * self.voxel_size_m

    @property
    def index_from_camera_matrix(self) -> Float[Tensor, "4 4"]:
        """The same map for homogeneous points, in float64."""
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] /= self.voxel_size_m
        matrix[:3, 3] = torch.tensor(self.camera_index, dtype=torch.float64)
        return matrix

    def coarsened(self, factor: int) -> "VoxelGrid":
        """The grid whose cell c covers the fine indices `factor*c .. factor*c + factor-1`; its point is their centre."""
        if factor < 1 or any(size % factor for size in self.shape):
            raise ValueError(f"a grid of {self.shape} cannot be coarsened by {factor}")
        x, y, z = self.camera_index
        half = (factor - 1) / 2
        return VoxelGrid(
            shape=(self.shape[0] // factor, self.shape[1] // factor, self.shape[2] // factor),
            voxel_size_m=self.voxel_size_m * factor,
            camera_index=((x - half) / factor, (y - half) / factor, (z - half) / factor),
        )

    @property
    def num_points(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


# Fitted over 157,097 planar pixels of 26 real frames (residual 0.039 voxel): docs/conventions.md.
FRONT3D_GRID = VoxelGrid(shape=(256, 256, 256), voxel_size_m=0.03, camera_index=(127.09, 127.74, 21.68))


def released_grid(
    intrinsics: Float[Tensor, "3 3"], image_size: tuple[int, int], near_m: float = 0.4, far_m: float = 6.0
) -> VoxelGrid:
    """The grid in which the releases store the frustum of a camera: its bounding box, centred in 256^3 at 3 cm.

    On 3D-Front this is (127.11, 127.74, 21.67), which the fit of `FRONT3D_GRID` confirms to 0.02 voxel; the half and the
    whole voxel at the end are part of that confirmation and explained nowhere. `image_size` is (width, height).
    """
    size_vox, voxel_size_m = 256, 0.03
    starts = []
    for axis, beyond in ((0, 0.0), (1, 0.5)):
        focal, centre = float(intrinsics[axis, axis]), float(intrinsics[axis, 2])
        low, high = (edge / focal * far_m / voxel_size_m for edge in (-centre, image_size[axis] - centre))
        starts.append(-low + (size_vox - math.ceil(high - low)) // 2 + beyond)
    low, high = near_m / voxel_size_m, far_m / voxel_size_m
    starts.append(-low + (size_vox - math.ceil(high - low)) // 2 + 1.0)
    return VoxelGrid((size_vox, size_vox, size_vox), voxel_size_m, (starts[0], starts[1], starts[2]))
