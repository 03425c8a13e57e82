"""Compare a sample with its packed version, within the tolerances that packing states."""

import torch
from torch import Tensor

from panoptic3d.data.packed.distances import NEAR_VOX, THRESHOLDS_VOX, TOLERANCE_NEAR_VOX, tolerance_far_vox
from panoptic3d.data.packed.voxels import is_signed
from panoptic3d.structures.sample import Sample, VoxelTruth

_FLOAT32_STEP = 2.0**-23  # of the numbers around 1


def broken_promises(original: Sample, packed: Sample, depth_steps_per_m: int) -> list[str]:
    """One sentence for each promise that does not hold; empty when all do."""
    broken = [
        f"{name} changed"
        for name in ("scene", "frame", "image", "camera", "semantic_2d", "instance_2d", "room_2d", "world_from_camera")
        if not _are_equal(getattr(original, name), getattr(packed, name))
    ]
    if not _is_depth_kept(original.depth_m, packed.depth_m, depth_steps_per_m):
        broken.append(f"depth moved by more than half a step of 1/{depth_steps_per_m} m")
    if (original.truth is None) != (packed.truth is None):
        broken.append("the voxels are there in one of the two only")
    if original.truth is not None and packed.truth is not None:
        broken += _broken_of_voxels(original.truth, packed.truth)
    return broken


def _broken_of_voxels(original: VoxelTruth, packed: VoxelTruth) -> list[str]:
    names = ("grid", "linear_index", "semantic", "instance", "weight", "weight_start", "frustum_mask")
    broken = [
        f"{name} of the voxels changed"
        for name in (*names, "coarse_occupancy", "fill_distance_vox")
        if not _are_equal(getattr(original, name), getattr(packed, name))
    ]
    if original.distance_vox.shape != packed.distance_vox.shape:
        return [*broken, "the number of distances changed"]
    return broken + _broken_of_distances(
        original.distance_vox.double(), packed.distance_vox.double(), tolerance_far_vox(is_signed(original))
    )


def _broken_of_distances(original: Tensor, packed: Tensor, tolerance_far: float) -> list[str]:
    broken = []
    for threshold in (*THRESHOLDS_VOX, 0.0):
        for sign in (1.0, -1.0):
            if not torch.equal(torch.sign(original - sign * threshold), torch.sign(packed - sign * threshold)):
                broken.append(f"a distance moved across {sign * threshold}")
    error = (original - packed).abs()
    is_near = original.abs() < NEAR_VOX
    for region, part, tolerance in (("near", is_near, TOLERANCE_NEAR_VOX), ("far", ~is_near, tolerance_far)):
        worst = float(error[part].max()) if bool(part.any()) else 0.0
        if worst > tolerance + 12 * _FLOAT32_STEP:
            broken.append(f"a {region} distance moved by {worst:.5f} voxels")
    return broken


def _is_depth_kept(original: Tensor, packed: Tensor, steps_per_m: int) -> bool:
    """Half a step and the rounding of float32; a tiny depth may move by one step to stay apart from "not measured"."""
    if original.shape != packed.shape or not torch.equal(original > 0, packed > 0):
        return False
    steps = original.double() * steps_per_m
    allowed = torch.where(steps < 1, 1.0, 0.5) / steps_per_m + original.double() * _FLOAT32_STEP
    return bool(((original.double() - packed.double()).abs() <= allowed).all())


def _are_equal(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_are_equal(first[key], second[key]) for key in first)
    return first == second


def tolerances(depth_steps_per_m: int, is_signed: bool) -> dict[str, float]:
    """As the manifest of a packed root states them."""
    return {
        "distance_near_vox": TOLERANCE_NEAR_VOX,
        "distance_far_vox": tolerance_far_vox(is_signed),
        "depth_m": 0.5 / depth_steps_per_m,
    }
