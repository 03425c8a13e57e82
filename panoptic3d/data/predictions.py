"""Prediction files: `scene.npz` of any method, as the contract (docs/formats.md) describes it. Nothing in them is trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int32, UInt8

from panoptic3d.data.arrays import Expected, PathLike, read_array, read_slabs
from panoptic3d.data.npz_writer import npz_bytes
from panoptic3d.data.reasons import bad_file
from panoptic3d.data.volumes import Shape, Sparse, check_classes
from panoptic3d.files import write_bytes_atomically
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

DISTANCE_KEY, SEMANTIC_KEY, INSTANCE_KEY = "distance_field", "semantic", "instance"
MAX_INSTANCE_ID = 65_535
_WIDER_INTEGERS = ("int16", "int32", "int64", "uint8", "uint32", "uint64")
# dtype -> unsigned integer of its size, the bits of infinity and of the truncation: half floats compare slowly, bits do not.
_BITS = {"float16": ("<u2", 0x7C00, 0x4200), "float32": ("<u4", 0x7F800000, 0x40400000)}


@dataclass(frozen=True, eq=False)
class PredictedVoxels:
    """Content of a prediction file, camera aligned and in C order: voxels nearer than the truncation or with a label.
    Every other voxel is far and has none.
    """

    shape: Shape
    linear_index: Int32[np.ndarray, " n"]
    distance_vox: Float32[np.ndarray, " n"]  # as stored, so it may be negative
    semantic: UInt8[np.ndarray, " n"]
    instance: Int32[np.ndarray, " n"]
    # Outputs of a network that files do not have: scores by instance id, and depth at the photo's pixels.
    scores: Mapping[int, float] = field(default_factory=dict)
    depth_m: Float32[np.ndarray, "h w"] | None = None

    @classmethod
    def nothing(cls, shape: Shape) -> "PredictedVoxels":
        """An empty prediction, which stands for a method that failed."""
        none = np.zeros(0, np.int32)
        return cls(shape, none, none.astype(np.float32), none.astype(np.uint8), none)

    @classmethod
    def from_scene(cls, scene: PanopticScene) -> "PredictedVoxels":
        """The same as writing the scene and reading the file, plus the outputs that a file does not have."""
        distance = _halved(scene.distance_vox.float().numpy()).reshape(-1)
        semantic, instance = scene.semantic.numpy().reshape(-1), scene.instance.numpy().reshape(-1)
        index = np.flatnonzero((np.abs(distance) < DISTANCE_TRUNCATION_VOX) | (semantic != 0) | (instance != 0))
        columns = (distance[index].astype(np.float32), semantic[index], instance[index])
        far = np.abs(columns[0]) >= DISTANCE_TRUNCATION_VOX
        columns[0][far] = DISTANCE_TRUNCATION_VOX
        depth_m = None if scene.depth is None else scene.depth.float().numpy()
        return cls(scene.grid.shape, index.astype(np.int32), *columns, scores=dict(scene.scores), depth_m=depth_m)


def prediction_path(folder: PathLike, scene: str, frame: str) -> Path:
    """Where a folder of predictions holds one frame: `<scene>_<frame>.npz`, or `<scene>_<frame>/scene.npz` as predicted."""
    flat, nested = Path(folder) / f"{scene}_{frame}.npz", Path(folder) / f"{scene}_{frame}" / "scene.npz"
    return nested if nested.exists() and not flat.exists() else flat


def read_prediction(
    path: PathLike, shape: Shape = FRONT3D_GRID.shape, num_classes: int = len(FRONT3D_TAXONOMY)
) -> PredictedVoxels:
    """Read a prediction file slab by slab, in little memory. A file that breaks the contract is refused with a message."""
    if (nested := Path(path).with_suffix("") / "scene.npz").exists():
        raise bad_file(path, "ambiguous", expected="one prediction of a frame", found=f"{nested} too")
    near = _near_surface(path, shape)
    semantic = _labels(path, SEMANTIC_KEY, Expected(shape, ("uint8",)))
    check_classes(path, semantic.values, num_classes)
    instance = _labels(path, INSTANCE_KEY, Expected(shape, ("uint16", *_WIDER_INTEGERS)))
    _check_instances(path, instance.values)
    index = _union(_union(near.index, semantic.index), instance.index)
    return PredictedVoxels(
        shape,
        index,
        _spread(near, index, DISTANCE_TRUNCATION_VOX, np.float32),
        _spread(semantic, index, 0, np.uint8),
        _spread(instance, index, 0, np.int32),
    )


def read_scene(
    path: PathLike,
    camera: Camera = FRONT3D_CAMERA,
    grid: VoxelGrid = FRONT3D_GRID,
    taxonomy: Taxonomy = FRONT3D_TAXONOMY,
) -> PanopticScene:
    """A prediction file of any method as a scene. Camera and grid are not in every such file, so the caller must know them;
    the default is that of 3D-Front. For a scene that `save` wrote use `PanopticScene.load`, which reads them.
    """
    voxels = read_prediction(path, grid.shape, len(taxonomy))

    def volume(values: np.ndarray, fill: float | int) -> torch.Tensor:
        dense = np.full(grid.num_points, fill, values.dtype)
        dense[voxels.linear_index] = values
        return torch.from_numpy(dense.reshape(grid.shape))

    distance = volume(np.abs(voxels.distance_vox), DISTANCE_TRUNCATION_VOX).clamp(max=DISTANCE_TRUNCATION_VOX)
    return PanopticScene(distance, volume(voxels.semantic, 0), volume(voxels.instance, 0), camera, grid, taxonomy)


def write_prediction(path: PathLike, scene: PanopticScene, **further: Any) -> None:
    """The three arrays of the contract, the grid, and whatever else the caller names."""
    write_bytes_atomically(path, prediction_bytes(scene, **further))


def prediction_bytes(scene: PanopticScene, **further: Any) -> bytes:
    """What `write_prediction` writes."""
    _check_instances("scene.npz", scene.instance.cpu().numpy())
    arrays: dict[str, np.ndarray] = {
        DISTANCE_KEY: _halved(scene.distance_vox.float().cpu().numpy()),
        SEMANTIC_KEY: scene.semantic.cpu().numpy(),
        INSTANCE_KEY: scene.instance.cpu().numpy().astype(np.uint16),
        "voxel_size_m": np.array(scene.grid.voxel_size_m),
        "camera_index": np.array(scene.grid.camera_index),
        "intrinsics": scene.camera.intrinsics.numpy(),
        **further,
    }
    return npz_bytes(arrays)


def _halved(distance_vox: Float32[np.ndarray, "x y z"]) -> Float16[np.ndarray, "x y z"]:
    """Half floats, rounded towards the surface: 0.9999 rounded to 1 would leave the shell in which surfaces are compared."""
    flat = np.ascontiguousarray(distance_vox).reshape(-1)
    half = torch.from_numpy(flat).half().numpy()  # numpy's own takes twice as long
    at = np.flatnonzero(np.abs(flat) < DISTANCE_TRUNCATION_VOX)
    near, rounded = flat[at], half[at]
    is_farther = np.abs(rounded.astype(np.float32)) > np.abs(near)
    half[at[is_farther]] = np.nextafter(rounded[is_farther], np.float16(0))
    return half.reshape(distance_vox.shape)


def _near_surface(path: PathLike, shape: Shape) -> Sparse:
    """Distances within the truncation. The whole field is checked: one NaN makes the file invalid."""
    expected = Expected(shape, tuple(_BITS))
    indices, values = [], []
    size = shape[1] * shape[2]
    for i, slab in enumerate(read_slabs(path, DISTANCE_KEY, expected)):
        unsigned, infinity, truncation = _BITS[slab.dtype.newbyteorder("=").name]
        magnitude = slab.view(unsigned).reshape(-1) & (2 ** (8 * slab.itemsize - 1) - 1)
        if magnitude.max(initial=0) >= infinity:
            _refuse_not_finite(path, slab)
        within = np.flatnonzero(magnitude < truncation)
        if within.size:
            indices.append((within + i * size).astype(np.int32))
            values.append(slab.reshape(-1)[within].astype(np.float32))
    if not indices:
        return Sparse(np.empty(0, np.int32), np.empty(0, np.float32))
    return Sparse(np.concatenate(indices), np.concatenate(values))


def _refuse_not_finite(path: PathLike, slab: np.ndarray) -> None:
    reason = "nan_distance" if np.isnan(slab).any() else "infinite_distance"
    found = f"{slab[~np.isfinite(slab)][0]}"
    raise bad_file(path, reason, expected="finite distances in voxels", found=found, key=DISTANCE_KEY)


def _labels(path: PathLike, key: str, expected: Expected) -> Sparse:
    volume = read_array(path, key, expected).reshape(-1)
    per_word = 8 // volume.itemsize
    if volume.size % 8:
        index = np.flatnonzero(volume)
    else:
        words = np.flatnonzero(volume.view(np.uint64) != 0)
        candidates = (words[:, None] * per_word + np.arange(per_word)).ravel()
        index = candidates[volume[candidates] != 0]
    return Sparse(index.astype(np.int32), volume[index])


def _check_instances(path: PathLike, instances: np.ndarray) -> None:
    """Wider integers than the contract's uint16 are looked into, to name the id that does not fit."""
    if not instances.size:
        return
    lowest, highest = int(instances.min()), int(instances.max())
    if lowest < 0:
        raise bad_file(path, "negative_instance", expected="ids of at least 0", found=f"id {lowest}", key=INSTANCE_KEY)
    if highest > MAX_INSTANCE_ID:
        expected = f"uint16 ids of at most {MAX_INSTANCE_ID}"
        raise bad_file(path, "wide_instance", expected=expected, found=f"id {highest}", key=INSTANCE_KEY)


def _union(index: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Both ascending; labels usually lie near surfaces, so that nothing needs sorting."""
    places = np.searchsorted(index, other)
    is_known = len(index) > 0 and (index[np.minimum(places, len(index) - 1)] == other).all()
    return index if is_known or not len(other) else np.union1d(index, other)


def _spread(sparse: Sparse, index: np.ndarray, fill: float | int, dtype: type) -> np.ndarray:
    spread = np.full(len(index), fill, dtype)
    spread[np.searchsorted(index, sparse.index)] = sparse.values
    return spread
