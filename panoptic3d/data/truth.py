"""Build a `VoxelTruth` from the arrays of files."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.coarse import coarse_occupancy
from panoptic3d.data.volumes import Shape, Sparse, crop_to_used
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, VoxelTruth


def assemble_truth(
    grid: VoxelGrid,
    distance: Sparse,
    semantic: Sparse,
    instance: Sparse,
    weight: tuple[np.ndarray, Shape],
    frustum_mask: Tensor,
    fill_distance_vox: float,
) -> VoxelTruth:
    """Lists every voxel with a distance other than the fill or with a label."""
    index = _union(_union(distance.index, semantic.index), instance.index)
    distance_vox = _spread(distance, index, fill_distance_vox, np.float32)
    return build_truth(
        grid=grid,
        index=index,
        distance_vox=distance_vox,
        semantic=_spread(semantic, index, 0, np.uint8),
        instance=_spread(instance, index, 0, np.int32),
        weight=weight,
        frustum_mask=frustum_mask,
        coarse=coarse_occupancy(distance, grid.shape),
        fill_distance_vox=fill_distance_vox,
    )


def build_truth(
    *,
    grid: VoxelGrid,
    index: np.ndarray,
    distance_vox: np.ndarray,
    semantic: np.ndarray,
    instance: np.ndarray,
    weight: tuple[np.ndarray, Shape],
    frustum_mask: Tensor,
    coarse: Mapping[int, np.ndarray],
    fill_distance_vox: float,
) -> VoxelTruth:
    box, start = weight
    return VoxelTruth(
        grid=grid,
        linear_index=torch.from_numpy(index),
        distance_vox=torch.from_numpy(distance_vox),
        semantic=torch.from_numpy(semantic),
        instance=torch.from_numpy(instance),
        weight=torch.from_numpy(box),
        weight_start=start,
        frustum_mask=frustum_mask,
        coarse_occupancy={stride: torch.from_numpy(cells) for stride, cells in coarse.items()},
        fill_distance_vox=fill_distance_vox,
    )


def _union(index: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Both are ascending; on 3D-Front the labelled voxels are among the near ones and nothing needs sorting."""
    return index if _positions(other, index)[1].all() else np.union1d(index, other)


def _spread(sparse: Sparse, index: np.ndarray, fill: float | int, dtype: type) -> np.ndarray:
    if len(sparse.index) == len(index):
        return sparse.values.astype(dtype, copy=False)
    spread = np.full(len(index), fill, dtype)
    spread[_positions(sparse.index, index)[0]] = sparse.values
    return spread


def _positions(index: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each index lies among the others, and whether it does."""
    positions = np.searchsorted(among, index)
    if len(among) == 0:
        return positions, np.zeros(len(index), np.bool_)
    return positions, among[np.minimum(positions, len(among) - 1)] == index


def truth_from_volumes(
    grid: VoxelGrid,
    distance_vox: np.ndarray,
    semantic: np.ndarray,
    instance: np.ndarray,
    weight: np.ndarray,
    frustum_mask: np.ndarray,
    fill_distance_vox: float = FAR_VOX,
) -> VoxelTruth:
    """The same from camera-aligned volumes in memory: for generators of data and for tests."""
    distance_vox = np.clip(distance_vox.astype(np.float32), -FAR_VOX, FAR_VOX)
    is_used = weight != 1
    return assemble_truth(
        grid,
        _listed(distance_vox, fill_distance_vox),
        _listed(semantic.astype(np.uint8), 0),
        _listed(instance.astype(np.int32), 0),
        crop_to_used(weight.astype(np.uint8), is_used.any((1, 2)), is_used.any(0)),
        torch.from_numpy(np.ascontiguousarray(frustum_mask)),
        fill_distance_vox,
    )


def _listed(volume: np.ndarray, fill: float | int) -> Sparse:
    index = np.flatnonzero(volume != fill)
    return Sparse(index.astype(np.int32), volume.reshape(-1)[index])
