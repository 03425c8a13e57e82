"""The voxel sets that the sparse benchmarks run on. Needs numpy alone, so that a peer's environment can import it."""

import os
from pathlib import Path

import numpy as np

GRID = 256


def named_sets(real_root: str | None) -> dict[str, np.ndarray]:
    """Coordinates (n, 4) of batch, i, j, k: real surfaces where there are any, round surfaces, and uniform noise."""
    sets = {}
    root = Path(real_root or os.environ.get("PANOPTIC3D_REAL", "")) / "front3d"
    frames = sorted(root.glob("*/geometry_*.npz"))
    if frames:
        frame = frames[len(frames) // 2]
        distance = np.load(frame)["data"][::-1, ::-1]  # stored mirrored on two axes
        for limit in (1, 3):
            sets[f"real surface, distance < {limit}"] = _with_batch(np.argwhere(distance < limit))
    for thousands in (100, 300):
        sets[f"spheres, {thousands} k"] = spheres(thousands * 1000)
        sets[f"uniform, {thousands} k"] = uniform(thousands * 1000, GRID)
    return sets


def spheres(num_voxels: int, seed: int = 0) -> np.ndarray:
    """Shells one voxel thick, of many curvatures and normals."""
    random = np.random.default_rng(seed)
    cells = np.zeros(0, np.int64)
    while len(cells) < num_voxels:
        centre, radius = random.uniform(40, GRID - 40, 3), random.uniform(10, 60)
        ray = random.normal(size=(int(12 * np.pi * radius**2), 3))
        point = np.floor(centre + radius * ray / np.linalg.norm(ray, axis=1, keepdims=True)).astype(np.int64)
        point = point[((point >= 0) & (point < GRID)).all(1)]
        cells = np.unique(np.concatenate((cells, point @ np.array([GRID * GRID, GRID, 1]))))
    return _cells(cells[:num_voxels], GRID)


def uniform(num_voxels: int, size: int, seed: int = 0) -> np.ndarray:
    """Cells drawn without any structure."""
    cells = np.random.default_rng(seed).choice(size**3, num_voxels, replace=False)
    return _cells(np.sort(cells), size)


def _cells(cells: np.ndarray, size: int) -> np.ndarray:
    return _with_batch(np.stack((cells // size**2, cells // size % size, cells % size), axis=1))


def _with_batch(coords: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate((np.zeros((len(coords), 1), np.int64), coords), axis=1), dtype=np.int32)
