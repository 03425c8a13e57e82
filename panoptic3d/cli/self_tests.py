"""Short numerical checks of what is installed here, each against a law that needs no reference file."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.pinhole import project, unproject_depth_map
from panoptic3d.geometry.thickening import thicken
from panoptic3d.geometry.voxels import nearest_voxels
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID


@dataclass(frozen=True)
class SelfTestResult:
    name: str
    passed: bool
    detail: str
    is_needed: bool = True  # an optional back end that fails is reported and never chosen; nothing is broken by it


def run_self_tests() -> list[SelfTestResult]:
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    tests: list[tuple[str, Callable[[str], tuple[bool, str]]]] = [
        ("project inverts unproject", _projection),
        ("frustum holds what is unprojected", _frustum),
        ("thickening of one voxel is a cube", _thickening),
    ]
    results = [SelfTestResult(f"{name} ({device})", *test(device)) for device in devices for name, test in tests]
    return [*results, *(result for device in devices for result in _sparse_backends(device))]


def _sparse_backends(device: str) -> list[SelfTestResult]:
    """Every back end that is installed here, against dense convolution. Absent ones stand among the optional parts."""
    from panoptic3d.sparse.backends.choice import installed_backends, self_test

    found = [self_test(name, device) for name in installed_backends()]
    return [
        SelfTestResult(f"sparse convolution by {test.name} ({device})", test.ok, test.detail, test.name == "torch")
        for test in found
    ]


def _projection(device: str) -> tuple[bool, str]:
    intrinsics = FRONT3D_CAMERA.intrinsics.to(device)
    depth_m = torch.linspace(0.4, 6.0, 240 * 320, dtype=torch.float64, device=device).view(240, 320)
    pixels, _ = project(unproject_depth_map(depth_m, intrinsics).view(-1, 3), intrinsics)
    column = torch.arange(320, dtype=torch.float64, device=device).repeat(240)
    error = float((pixels[:, 0] - column).abs().max())
    return error < 1e-9, f"largest error {error:.1e} px"


def _frustum(device: str) -> tuple[bool, str]:
    grid, camera = FRONT3D_GRID, FRONT3D_CAMERA
    intrinsics = camera.intrinsics.to(device)
    mask = frustum_mask(intrinsics, (camera.width, camera.height), grid.shape, grid.voxel_size_m, grid.camera_index)
    depth_m = torch.full((camera.height, camera.width), 3.0, dtype=torch.float64, device=device)
    points = unproject_depth_map(depth_m, intrinsics).view(-1, 3)
    nearest, is_inside = nearest_voxels(grid.index_from_camera(points), grid.shape)
    share = float((mask[nearest[:, 0], nearest[:, 1], nearest[:, 2]] & is_inside).double().mean())
    return share > 0.98, f"{share:.2%} of pixels at 3 m, {int(mask.sum()):,} voxels"


def _thickening(device: str) -> tuple[bool, str]:
    mask = torch.zeros(9, 9, 9, dtype=torch.bool, device=device)
    mask[4, 4, 4] = True
    size = int(thicken(mask, -1, 1).sum())
    return size == 27, f"{size} voxels"
