"""Scenes that a network predicts for the samples of a data root, kept in a folder: the network runs once a view.

The folder belongs to one checkpoint, and is refused with another. Empty it when the code of the network changes.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from panoptic3d.data.npz_writer import npz_bytes
from panoptic3d.errors import InputError
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.models.checkpoints.folder import checkpoint_facts
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.moving import moved
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, Sample
from panoptic3d.structures.scene import PanopticScene

_OWNER = "checkpoint.json"


@dataclass(frozen=True)
class PredictedViews:
    checkpoint: Path
    folder: Path | None = None  # None: every view is predicted each time

    def __post_init__(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        owner, own = self.folder / _OWNER, json.dumps(checkpoint_facts(self.checkpoint))
        if owner.exists() and owner.read_text() != own:
            raise InputError(f"{self.folder} holds scenes of another checkpoint; give another --predictions.")
        write_text_atomically(owner, own)

    @cached_property
    def network(self) -> Pipeline:
        return load_network(self.checkpoint)

    def scene(self, sample: Sample) -> PanopticScene:
        if self.folder is None:
            return self._predicted(sample)
        path = self.folder / f"{sample.key.replace('/', '_')}.npz"
        if not path.exists():
            _write(path, self._predicted(sample))
        return _read(path, sample)

    def _predicted(self, sample: Sample) -> PanopticScene:
        (scene,) = self.network.infer(sample.image[None], (sample.camera,))
        return replace(moved(scene, "cpu"), distance_vox=scene.distance_vox.float())


def _write(path: Path, scene: PanopticScene) -> None:
    """Only voxels near to a surface: a view takes two megabytes."""
    index = (scene.distance_vox.flatten() < DISTANCE_TRUNCATION_VOX).nonzero()[:, 0]
    arrays = {"index": index, "scores": torch.tensor(sorted(scene.scores.items()), dtype=torch.float64).view(-1, 2)}
    for name in ("distance_vox", "semantic", "instance", "confidence"):
        volume = getattr(scene, name)
        if volume is not None:
            arrays[name] = volume.flatten()[index]
    if scene.depth_map is not None:
        arrays["depth_m"] = scene.depth_map.depth_m
        arrays["from_photo"] = torch.tensor(
            (scene.depth_map.from_photo.scale, scene.depth_map.from_photo.shift)
        ).double()
        if scene.depth_map.log_spread is not None:
            arrays["log_spread"] = scene.depth_map.log_spread
    arrays["grid"] = torch.tensor((*scene.grid.shape, scene.grid.voxel_size_m, *scene.grid.camera_index)).double()
    write_bytes_atomically(path, npz_bytes({name: tensor.cpu().numpy() for name, tensor in arrays.items()}))


def _read(path: Path, sample: Sample) -> PanopticScene:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    x, y, z, size_m, a, b, c = arrays["grid"].tolist()
    grid = VoxelGrid((int(x), int(y), int(z)), size_m, (a, b, c))
    volume = _Volumes(grid, arrays["index"])
    return PanopticScene(
        volume(arrays["distance_vox"], DISTANCE_TRUNCATION_VOX),
        volume(arrays["semantic"], 0),
        volume(arrays["instance"], 0),
        sample.camera,
        grid,
        sample.taxonomy,
        {int(number): score for number, score in arrays["scores"].tolist()},
        depth_map=_depth_map(arrays) if "depth_m" in arrays else None,
        confidence=volume(arrays["confidence"], 0.0) if "confidence" in arrays else None,
    )


def _depth_map(arrays: dict[str, Tensor]) -> DepthMap:
    (sx, sy), (dx, dy) = arrays["from_photo"].tolist()
    return DepthMap(arrays["depth_m"], PixelMap((sx, sy), (dx, dy)), arrays.get("log_spread"))


@dataclass(frozen=True, eq=False)
class _Volumes:
    grid: VoxelGrid
    index: Int64[Tensor, " n"]

    def __call__(self, values: Tensor, fill: float | int) -> Tensor:
        flat = values.new_full((self.grid.num_points,), fill)
        return flat.index_copy_(0, self.index, values).view(self.grid.shape)
