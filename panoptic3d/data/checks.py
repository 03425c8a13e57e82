"""Consistency checks between the files of one sample. Each check names the file and has a stable name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool
from torch import Tensor

from panoptic3d.data.registration import land, measure_registration, on_surface
from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.visibility import is_occluded
from panoptic3d.geometry.voxels import linear_index
from panoptic3d.geometry.weighting import loss_weight
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import LABEL_BAND_VOX, Sample, VoxelTruth
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_WEIGHT_STRIDE = 8  # a share over 160,000 voxels is known to a thousandth


@dataclass(frozen=True)
class Limits:
    """Where sound ends. 18 real 3D-Front frames have at least 97.8 % of their pixels on surfaces, 98.9 % same class, 99.9 %
    same instance, 99.8 % same weight (docs/experiments/2026-11-21-released-frames.md).
    """

    min_on_surface: float = 0.90
    min_class_agreement: float = 0.95
    min_instance_agreement: float = 0.90
    min_mask_iou: float = 0.985  # the released mask in the wrong orientation has 0.977
    max_outside_mask: float = 0.01
    min_weight_agreement: float = 0.90
    min_instance_pixels: int = 200  # smaller ones may lie behind a doorframe of the volume (PanoRecon drops them too)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one sample."""

    part: str  # the file to look at, as its layout calls it: `depth`, `geometry`, ...
    reason: str
    message: str


def check_sample(sample: Sample, limits: Limits, is_mask_sound: bool = True) -> Iterator[Problem]:
    """The problems between files that are each sound by themselves.

    Signed fields (Matterport3D) are registered too loosely by the release itself to be held to limits of registration
    (docs/experiments/2026-11-21-released-frames.md). `is_mask_sound` is False where the mask has been found foreign already.
    """
    truth = sample.truth
    if truth is None:  # it serves the 2D stage; `verify` asks whether the others have none either
        yield Problem("", "no_voxels", "it has no volumes and cannot be scored")
        return
    if is_mask_sound:
        yield from _check_containment(truth, limits)
    if sample.taxonomy is not FRONT3D_TAXONOMY:
        return
    yield from _check_label_band(truth)
    registration = list(_check_registration(sample, truth, limits))
    yield from registration
    if not registration:  # what follows would only repeat it
        yield from _check_instances(sample, truth, limits)
        if is_mask_sound:  # hidden voxels count double within the frustum only
            yield from _check_weight(sample, truth, limits)


def check_mask(mask: Bool[Tensor, "x y z"], grid: VoxelGrid, camera: Camera, limits: Limits) -> Iterator[Problem]:
    expected = _expected_mask(camera, grid)
    both, either = int((expected & mask).sum()), int((expected | mask).sum())
    iou = both / max(either, 1)
    if iou < limits.min_mask_iou:
        message = f"overlaps the camera's frustum with an IoU of {iou:.3f}, expected at least {limits.min_mask_iou}"
        yield Problem("frustum_mask", "foreign_mask", message)


@lru_cache(maxsize=2)
def _expected_mask(camera: Camera, grid: VoxelGrid) -> Tensor:
    size = (camera.width, camera.height)
    return frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index)


def _check_containment(truth: VoxelTruth, limits: Limits) -> Iterator[Problem]:
    is_surface = truth.distance_vox.abs() < LABEL_BAND_VOX
    inside = truth.frustum_mask.view(-1)[truth.linear_index[is_surface].long()]
    share = 1 - float(inside.double().mean()) if inside.numel() else 0.0
    if share > limits.max_outside_mask:
        message = (
            f"{share:.1%} of the surface voxels lie outside of the mask, expected at most {limits.max_outside_mask:.0%}"
        )
        yield Problem("geometry", "surface_outside_mask", message)


def _check_label_band(truth: VoxelTruth) -> Iterator[Problem]:
    num = int(((truth.semantic > 0) != (truth.distance_vox < LABEL_BAND_VOX)).sum())
    if num:
        message = f"{num} voxels are labelled although their distance is not below 1, or the other way round"
        yield Problem("segmentation", "labels_off_surface", message)


def _check_registration(sample: Sample, truth: VoxelTruth, limits: Limits) -> Iterator[Problem]:
    measured = measure_registration(sample, truth)
    share = measured.on_surface
    if share < limits.min_on_surface:
        turned = measure_registration(sample, truth, sample.depth_m.flip(0, 1)).on_surface
        if turned >= limits.min_on_surface:
            message = (
                f"only {share:.1%} of its pixels lie on surfaces of the volume, {turned:.1%} once turned by 180 degrees"
            )
            yield Problem("depth", "turned_depth", message)
        else:
            message = f"only {share:.1%} of the depth pixels lie on its surfaces, expected {limits.min_on_surface:.0%}"
            yield Problem("geometry", "unregistered", message)
        return
    for reason, what, value, limit in (
        ("class_mismatch", "class", measured.class_agreement, limits.min_class_agreement),
        ("instance_mismatch", "instance", measured.instance_agreement, limits.min_instance_agreement),
    ):
        if value < limit:
            message = f"only {value:.1%} of the voxels that pixels show have the pixel's {what}, expected {limit:.0%}"
            yield Problem("segmentation", reason, message)


def _check_instances(sample: Sample, truth: VoxelTruth, limits: Limits) -> Iterator[Problem]:
    """Every thing with enough pixels on surfaces of the volume has voxels."""
    landing = land(sample, truth)
    pixel = landing.pixel[on_surface(landing, truth)]
    semantic = sample.semantic_2d.view(-1)[pixel].long()
    is_thing = torch.isin(semantic, torch.tensor(sample.taxonomy.thing_ids))
    ids, counts = sample.instance_2d.view(-1)[pixel][is_thing].unique(return_counts=True)
    known = set(truth.instance.unique().tolist())
    for instance, count in zip(ids.tolist(), counts.tolist(), strict=True):
        if count > limits.min_instance_pixels and instance not in known:
            message = f"thing {instance} covers {count} pixels and has no voxel"
            yield Problem("segmentation", "instance_only_in_2d", message)


def _check_weight(sample: Sample, truth: VoxelTruth, limits: Limits) -> Iterator[Problem]:
    share = weight_agreement(sample, truth, every=_WEIGHT_STRIDE)
    if share < limits.min_weight_agreement:
        message = (
            f"{share:.1%} of the weights follow from depth and distance, expected {limits.min_weight_agreement:.0%}"
        )
        yield Problem("weighting", "weight_mismatch", message)


def weight_agreement(sample: Sample, truth: VoxelTruth, every: int = 1) -> float:
    """Share of the voxels whose weight is not 1 where the weight recomputed from depth and distance is the same.

    `every` looks at each so-many-th voxel only.
    """
    inner = (truth.weight != 1).view(-1).nonzero().squeeze(1)[::every]
    if not len(inner):
        return 1.0
    _, ny, nz = truth.weight.shape
    coords = torch.stack((inner // (ny * nz), inner // nz % ny, inner % nz), dim=1) + torch.tensor(truth.weight_start)
    linear = linear_index(coords, truth.grid.shape)
    entry = torch.searchsorted(truth.linear_index, linear.int()).clamp(max=max(truth.linear_index.numel() - 1, 0))
    is_listed = truth.linear_index[entry] == linear
    distance = torch.where(is_listed, truth.distance_vox[entry], truth.fill_distance_vox)
    points = truth.grid.camera_from_index(coords.float())
    occluded = is_occluded(points, sample.depth_m, sample.camera.intrinsics.float())
    expected = loss_weight(distance, occluded, truth.frustum_mask.view(-1)[linear])
    return float((expected == truth.weight.view(-1)[inner]).double().mean())
