"""Validate the content of a packed sample whose checksums are right: its writer may be wrong, or hostile."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from panoptic3d.data.pictures import check_depth
from panoptic3d.data.poses import check_pose
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.volumes import check_classes, check_instances
from panoptic3d.structures.sample import FAR_VOX, Sample, VoxelTruth


def check_packed(path: str, sample: Sample) -> None:
    """Raises `BadFileError` for the first thing that is wrong."""
    shape = (sample.camera.height, sample.camera.width)
    for name, values in _pixels(sample):
        if tuple(values.shape[-2:]) != shape:
            found = f"{values.shape[-1]}x{values.shape[-2]}"
            raise bad_file(path, "wrong_shape", expected=f"{shape[1]}x{shape[0]} pixels", found=found, key=name)
    check_depth(path, sample.depth_m.numpy(), "depth")
    check_classes(path, sample.semantic_2d.numpy(), len(sample.taxonomy))
    check_instances(path, sample.instance_2d.numpy())
    if sample.world_from_camera is not None:
        check_pose(path, sample.world_from_camera.numpy())
    if sample.truth is not None:
        _check_truth(path, sample.truth, len(sample.taxonomy))


def _pixels(sample: Sample) -> Iterator[tuple[str, Tensor]]:
    yield from (
        ("image", sample.image),
        ("depth", sample.depth_m),
        ("labels_2d", sample.semantic_2d),
    )
    if sample.room_2d is not None:
        yield "room_2d", sample.room_2d


def _check_truth(path: str, truth: VoxelTruth, num_classes: int) -> None:
    check_classes(path, truth.semantic.numpy(), num_classes)
    check_instances(path, truth.instance.numpy())
    index, fill = truth.linear_index, truth.fill_distance_vox
    if len(index) and not (int(index[0]) >= 0 and int(index[-1]) < truth.grid.num_points):
        raise bad_file(path, "corrupt", expected="voxels of the grid", found="others", key="listed")
    if not math.isfinite(fill) or abs(fill) != FAR_VOX:
        raise bad_file(path, "infinite_distance", expected=f"a fill of +-{FAR_VOX} voxels", found=str(fill))
    box = zip(truth.weight_start, truth.weight.shape, truth.grid.shape, strict=True)
    if any(start < 0 or start + size > whole for start, size, whole in box):
        raise bad_file(path, "bad_weight", expected="weights within the grid", found="others", key="weight")
    if truth.frustum_mask.shape != torch.Size(truth.grid.shape):
        raise bad_file(path, "wrong_shape", expected="a mask of the grid", found=str(tuple(truth.frustum_mask.shape)))
