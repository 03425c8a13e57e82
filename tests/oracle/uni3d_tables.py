"""Comparing our tensors with recorded tables: sampled values, statistics of all, and the voxels on which they lie."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from panoptic3d.geometry.voxels import linear_index
from panoptic3d.structures.sparse_voxels import SparseVoxels
from tests.oracle.uni3d_folder import Tolerance

Table = Mapping[str, np.ndarray]
_SHAPE = (256, 256, 256)


def check(name: str, ours: Tensor, recorded: np.ndarray, tolerance: Tolerance) -> None:
    """Rows are right if all their values are; `tolerance.share` of them must be."""
    assert tuple(ours.shape) == recorded.shape, name
    off = np.abs(ours.numpy() - recorded).reshape(len(recorded), -1).max(axis=1)
    share = (off <= tolerance.value).mean() if len(off) else 1.0
    assert share >= tolerance.share, f"{name}: {share:.4f} of the rows within {tolerance.value}, worst {off.max():.2e}"


def check_dense(name: str, ours: Tensor, recorded: Table, tolerance: Tolerance) -> None:
    """A tensor [C, ...]: flat positions and statistics of each channel."""
    check(name, ours.reshape(-1)[recorded[f"{name}_index"]], recorded[f"{name}_values"], tolerance)
    if f"{name}_stats" in recorded:
        check(f"{name} (statistics)", stats_of(ours.flatten(1).t()), recorded[f"{name}_stats"], tolerance)


def check_rows(name: str, rows: Tensor, recorded: Table, tolerance: Tolerance) -> None:
    check(name, rows[recorded[f"{name}_index"]], recorded[f"{name}_values"], tolerance)
    check(f"{name} (statistics)", stats_of(rows), recorded[f"{name}_stats"], Tolerance(tolerance.value))


def check_sparse(
    name: str, rows: Tensor, voxels: SparseVoxels, theirs: Tensor | None, recorded: Table, tolerance: Tolerance
) -> None:
    """Where the tolerance allows no voxel to differ, the sets are the same. Else the rows of voxels that both have are
    compared; `theirs` are then the coordinates of the reference's set.
    """
    fine = fine_coords(voxels)
    if not tolerance.voxels or coords_sha256(fine) == str(recorded[f"{name}_sha256"]):
        assert len(fine) == int(recorded[f"{name}_count"]), name
        assert coords_sha256(fine) == str(recorded[f"{name}_sha256"]), name
        if f"{name}_coordinates" in recorded:
            assert np.array_equal(fine[recorded[f"{name}_index"]].numpy(), recorded[f"{name}_coordinates"]), name
        check_rows(name, rows, recorded, tolerance)
        return
    assert theirs is not None, name
    assert coords_sha256(theirs) == str(recorded[f"{name}_sha256"]), name
    our_cells, their_cells = linear_index(fine, _SHAPE), linear_index(theirs, _SHAPE)
    differing = int((~torch.isin(our_cells, their_cells)).sum() + (~torch.isin(their_cells, our_cells)).sum())
    assert differing <= tolerance.voxels, f"{name}: {differing} voxels in only one set"
    wanted = their_cells[recorded[f"{name}_index"]]
    at = torch.searchsorted(our_cells, wanted).clamp(max=len(our_cells) - 1)
    common = our_cells[at] == wanted
    check(name, rows[at][common], recorded[f"{name}_values"][common.numpy()], tolerance)


def fine_coords(voxels: SparseVoxels) -> Tensor:
    """In voxels of the finest grid, as the README gives them."""
    return voxels.coords[:, 1:].long() * voxels.stride


def coords_of_bits(packed: np.ndarray, size: int) -> Tensor:
    """In voxels of the finest grid."""
    cells = np.argwhere(np.unpackbits(packed).reshape(size, size, size))
    return torch.from_numpy(cells) * (256 // size)


def united(*sets: Tensor) -> Tensor:
    cells = torch.cat([linear_index(s, _SHAPE) for s in sets]).unique()
    return torch.stack((cells // 65536, cells // 256 % 256, cells % 256), dim=1)


def children(coarse: Tensor) -> Tensor:
    """Every voxel that a kernel of 4 voxels makes from those of stride 2, within the grid."""
    axis = torch.arange(4)
    made = (coarse[:, None] + torch.cartesian_prod(axis, axis, axis)).flatten(0, 1)
    return united(made[(made < 256).all(dim=1)])


def stats_of(rows: Tensor) -> Tensor:
    rows = rows.double()
    return torch.stack((rows.mean(dim=0), rows.std(dim=0, correction=0), rows.amin(dim=0), rows.amax(dim=0)))


def coords_sha256(coords: Tensor) -> str:
    return hashlib.sha256(coords.numpy().astype("<i4").tobytes()).hexdigest()
