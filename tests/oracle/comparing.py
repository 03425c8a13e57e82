"""Our tensors against recorded tables: sampled values, statistics of all rows, and the voxels on which they lie."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from panoptic3d.structures.sparse_voxels import SparseVoxels
from tests.oracle.panorecon_folder import OracleFolder


def check(name: str, ours: Tensor, recorded: np.ndarray, folder: OracleFolder) -> None:
    assert tuple(ours.shape) == recorded.shape
    assert np.abs(ours.numpy() - recorded).max() <= tolerance_of(name, folder)


def check_table(
    name: str, rows: Tensor, recorded: Mapping[str, np.ndarray], folder: OracleFolder, tolerance: str | None = None
) -> None:
    check(tolerance or name, rows[recorded[f"{name}_index"]], recorded[f"{name}_values"], folder)
    check(tolerance or name, stats_of(rows), recorded[f"{name}_stats"], folder)


def check_sparse(
    name: str,
    rows: Tensor,
    voxels: SparseVoxels,
    recorded: Mapping[str, np.ndarray],
    sparse: Mapping[str, np.ndarray],
    folder: OracleFolder,
    tolerance: str | None = None,
    like: str | None = None,
) -> None:
    """The same voxels, and the values of the sampled ones. Coordinates may stand at a table with the same rows."""
    fine = voxels.coords[:, 1:] * voxels.stride
    assert len(fine) == int(recorded[f"{name}_count"])
    assert coords_sha256(fine) == str(recorded[f"{name}_sha256"])
    index = recorded[f"{name}_index"]
    assert np.array_equal(fine[index].numpy(), sparse[f"{like or name}_coordinates"])
    check_table(name, rows, recorded, folder, tolerance)


def tolerance_of(name: str, folder: OracleFolder) -> float:
    return float(folder.tolerances[name]["suggested"])


def stats_of(rows: Tensor) -> Tensor:
    rows = rows.double()
    return torch.stack((rows.mean(dim=0), rows.std(dim=0, correction=0), rows.amin(dim=0), rows.amax(dim=0)))


def coords_sha256(coords: Tensor) -> str:
    return hashlib.sha256(coords.numpy().astype("<i4").tobytes()).hexdigest()


def bits(packed: np.ndarray, size: int) -> np.ndarray:
    return np.unpackbits(packed).reshape(size, size, size).astype(bool)
