import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.models.surface_lift.config import SurfaceLiftConfig
from panoptic3d.models.surface_lift.instance_channels import instance_channels
from panoptic3d.models.surface_lift.lift import SurfaceLift, frustum_cells, place
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.frustum_box import FrustumBox, released_frustum_cells, released_frustum_mask
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.instances import Instances2D

HALF = FRONT3D_CAMERA.resized(160, 120)
FAITHFUL = SurfaceLiftConfig(
    registration="released", winner="first", depth="free", overflow="first", frustum="released"
)
CORRECTED = SurfaceLiftConfig()


def wavy_depth(height: int = 12, width: int = 16) -> torch.Tensor:
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return 1.2 + 0.05 * torch.sin(u * 1.3) + 0.03 * v


def test_the_released_origin() -> None:
    """Section 2.3: the frustum's box in voxels, and the padding."""
    registration = FrustumBox.of(HALF, FRONT3D_GRID, 0.4, 6.0)
    assert registration.corner_vox == pytest.approx((-114.74836, -85.88085, 13.33333), abs=1e-4)
    assert registration.padding_vox == (12, 41, 34)


@pytest.mark.real
def test_the_shipped_mask_is_a_cone(real_root: Path) -> None:
    shipped = torch.from_numpy(np.load(real_root / "front3d" / "frustum_mask.npz")["mask"])
    pooled = F.max_pool3d(shipped[None].float(), kernel_size=2, stride=4)[0].bool()
    assert torch.equal(released_frustum_cells(HALF, FRONT3D_GRID, 0.4, 6.0), pooled)
    assert torch.equal(released_frustum_mask(HALF, FRONT3D_GRID, 0.4, 6.0), shipped.flip(0, 1))


def test_the_cone_has_as_many_cells_as_the_shipped_mask() -> None:
    assert int(released_frustum_cells(HALF, FRONT3D_GRID, 0.4, 6.0).sum()) == 43_137


def test_released_twin() -> None:
    """Point by point into a dictionary; the first one stays."""
    depth = wavy_depth()
    camera = HALF.cropped(72, 54, 16, 12)
    placed = place(depth, camera, FRONT3D_GRID, FAITHFUL)
    registration = FrustumBox.of(camera, FRONT3D_GRID, 0.4, 6.0)
    kept: dict[tuple[int, int, int], tuple[int, float]] = {}
    for pixel in range(12 * 16):
        v, u = divmod(pixel, 16)
        z = float(depth[v, u])
        x, y = (u - camera.cx_px) / camera.fx_px * z, (v - camera.cy_px) / camera.fy_px * z
        grid = [p / 0.03 - c for p, c in zip((x, y, z), registration.corner_vox, strict=True)]
        for copy in range(-3, 4):
            cell = tuple(math.floor(g + p) for g, p in zip(grid, registration.padding_vox, strict=True))
            cell = (cell[0], cell[1], cell[2] + copy)
            kept.setdefault(cell, (7 * pixel + copy + 3, grid[2] - int(grid[2]) + copy))
    cells = [tuple(c) for c in placed.coords.tolist()]
    assert cells == sorted(kept)
    assert placed.point.tolist() == [kept[c][0] for c in cells]
    assert placed.offset_vox.tolist() == pytest.approx([kept[c][1] for c in cells])


def test_exact_registration_is_within_half_a_voxel_and_the_nearest_point_wins() -> None:
    depth = wavy_depth()
    camera = HALF.cropped(72, 54, 16, 12)
    placed = place(depth, camera, FRONT3D_GRID, CORRECTED)
    pixel, copy = placed.point // 7, placed.point % 7 - 3
    z = depth.flatten().double()[pixel]
    points = torch.stack(
        (((pixel % 16) - camera.cx_px) / camera.fx_px * z, ((pixel // 16) - camera.cy_px) / camera.fy_px * z, z), dim=1
    )
    apart = placed.coords - FRONT3D_GRID.index_from_camera(points)
    apart[:, 2] -= copy
    assert apart.abs().max() <= 0.5 + 1e-9
    torch.testing.assert_close(placed.offset_vox, apart[:, 2] + copy)
    one_column = place(torch.full((1, 2), 2.0), Camera(1e9, 1e9, 0.0, 0.0, 2, 1), FRONT3D_GRID, CORRECTED)
    assert (one_column.point < 7).all()  # equally near: the first pixel


@pytest.mark.parametrize("config", [FAITHFUL, CORRECTED])
@pytest.mark.parametrize("depth_m", [0.0, -1.0, 50.0, math.nan, math.inf])
def test_depth_that_is_nowhere(config: SurfaceLiftConfig, depth_m: float) -> None:
    placed = place(torch.full((120, 160), depth_m), HALF, FRONT3D_GRID, config)
    limit = torch.tensor(FRONT3D_GRID.shape)
    assert bool(((placed.coords >= 0) & (placed.coords < limit)).all())
    is_clamped = config.depth == "clamped" and depth_m in (-1.0, 50.0)
    assert (len(placed.coords) > 0) == is_clamped


def instances(masks: torch.Tensor) -> Instances2D:
    count = len(masks)
    camera = Camera.from_fov(60.0, masks.shape[2], masks.shape[1])
    boxes = torch.zeros(count, 4)
    ids, scores = torch.ones(count, dtype=torch.int64), torch.full((count,), 0.9)
    return Instances2D(camera, boxes, ids, scores, masks, torch.ones(count, dtype=torch.bool))


def test_instance_channels() -> None:
    masks = torch.zeros(2, 4, 6)
    masks[0, :2], masks[1, :, :2] = 0.5, 0.25
    channels = instance_channels(instances(masks), (2, 3), 16, "shared")
    assert channels[0].tolist() == [[0, 0, 0], [0, 1, 1]]
    assert channels[1].tolist() == [[0.5] * 3, [0] * 3]
    assert channels[2].tolist() == [[0.25, 0, 0]] * 2
    assert instance_channels(instances(masks[:0]), (2, 3), 16, "shared")[0].tolist() == [[1, 1, 1]] * 2


def test_more_instances_than_channels() -> None:
    masks = torch.zeros(40, 4, 40)
    masks[torch.arange(40), :, torch.arange(40)] = 0.5
    first = instance_channels(instances(masks), (4, 40), 16, "first")
    shared = instance_channels(instances(masks), (4, 40), 16, "shared")
    assert first[1:].sum() == 15 * 4 * 0.5
    assert shared[1:].sum() == 40 * 4 * 0.5
    assert first[0].sum() == 25 * 4
    assert shared[0].sum() == 0
    assert shared[1, 0].nonzero()[:, 0].tolist() == [0, 15, 30]


@pytest.mark.parametrize("config", [FAITHFUL, CORRECTED])
def test_a_batch_is_its_images(config: SurfaceLiftConfig) -> None:
    torch.manual_seed(0)
    depth = torch.stack((wavy_depth(), wavy_depth() * 0, wavy_depth() + 0.3))
    camera = HALF.cropped(72, 54, 16, 12)
    found = tuple(instances(torch.rand(n, 24, 32)) for n in (2, 0, 17))
    rays = RayEstimate((camera,) * 3, depth, torch.randn(3, 5, 12, 16))
    lift = SurfaceLift(config)
    together = lift(rays, Panoptic2D(found))
    assert together.is_in_frustum.shape == (3, 64, 64, 64)
    assert together.voxels.counts[1] == (0 if config.depth == "free" else together.voxels.counts[1])
    for member in range(3):
        one = RayEstimate((camera,), depth[member : member + 1], rays.features[member : member + 1])
        alone = lift(one, Panoptic2D(found[member : member + 1]))
        rows = together.voxels.coords[:, 0] == member
        assert torch.equal(together.voxels.coords[rows, 1:], alone.voxels.coords[:, 1:])
        assert torch.equal(together.features[rows], alone.features)


def test_exact_frustum_cells_hold_what_the_camera_sees() -> None:
    cells = frustum_cells(HALF, FRONT3D_GRID, CORRECTED)
    depth = torch.linspace(0.5, 5.9, 120 * 160).view(120, 160)
    placed = place(depth, HALF, FRONT3D_GRID, SurfaceLiftConfig(num_copies=1))
    v, u = placed.point // 160, placed.point % 160
    is_inner = (v >= 5) & (v < 115) & (u >= 5) & (u < 155)  # nearer to the border, half a voxel may lie outside
    i, j, k = (placed.coords[is_inner] // 4).unbind(1)
    assert bool(cells[i, j, k].all())
