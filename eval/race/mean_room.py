"""The mean room: what is to be had without a look at the photo. Stuff where training samples have it, and no things."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.errors import InputError
from panoptic3d.geometry.point_field import distance_to_points
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import Truth, score_sample
from panoptic3d.metrics.protocol import Protocol, load_protocol
from panoptic3d.metrics.tally import Tally, scores_of
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, LABEL_BAND_VOX, Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_THRESHOLDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True, eq=False)
class MeanRoom:
    """In how many samples each voxel of the grid is surface of each stuff class."""

    counts: np.ndarray  # stuff classes x voxels
    num_samples: int
    grid: VoxelGrid

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "MeanRoom":
        stuff, room = FRONT3D_TAXONOMY.stuff_ids, None
        for sample in samples:
            truth = sample.truth
            assert truth is not None, "read with voxels"
            room = room or cls(np.zeros((len(stuff), truth.grid.num_points), np.uint16), 0, truth.grid)
            if truth.grid != room.grid:
                raise InputError(f"{sample.key} has a grid of its own; a mean room needs samples that share one.")
            is_surface = truth.distance_vox.abs() < LABEL_BAND_VOX
            for row, class_id in enumerate(stuff):
                room.counts[row, truth.linear_index[is_surface & (truth.semantic == class_id)].numpy()] += 1
            room = replace(room, num_samples=room.num_samples + 1)
        if room is None:
            raise InputError("a mean room needs at least one sample; give another split.")
        return room

    def voxels(self, threshold: float) -> LabelledVoxels:
        """The most frequent stuff class where stuff is in more than this share of the samples."""
        is_surface = self.counts.sum(axis=0, dtype=np.int32) > threshold * self.num_samples
        index = np.flatnonzero(is_surface).astype(np.int32)
        best = np.array(FRONT3D_TAXONOMY.stuff_ids, np.uint8)[self.counts[:, index].argmax(axis=0)]
        zero = np.zeros(len(index), np.int32)
        return LabelledVoxels(self.grid.shape, index, zero.astype(np.float32), best, zero)


def prq_of_thresholds(room: MeanRoom, truths: Sequence[Truth], protocol: Protocol) -> dict[float, float]:
    prq = {}
    for threshold in _THRESHOLDS:
        voxels = room.voxels(threshold)
        total = Tally.total(score_sample(voxels, truth, protocol).tally for truth in truths)
        prq[threshold] = scores_of(total, protocol.mean_over).all.prq
    return prq


@dataclass(frozen=True)
class MeanRoomPredictions(NetworkPredictions):
    """The same answer to every photo. `folder` holds the training data; the threshold is the best one on some of them."""

    split: str | None = "train"
    num_samples: int = 500
    num_for_threshold: int = 50

    @property
    def made(self) -> tuple[PredictedVoxels, dict[str, Any]]:
        return _made(self.folder, self.split, self.num_samples, self.num_for_threshold)

    @property
    def stamp(self) -> str:
        return f"mean room: {self.folder.resolve()} {self.split} {self.num_samples} {self.num_for_threshold}"

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": "mean-room"}

    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        return self.made[0]


@lru_cache(maxsize=1)
def _made(
    folder: Path, split: str | None, num_samples: int, num_for_threshold: int
) -> tuple[PredictedVoxels, dict[str, Any]]:
    """The answer, and how it came about."""
    data = open_root(folder)
    keys = data.split(split).keys[:num_samples]
    room = MeanRoom.of(data.read(key) for key in keys)
    truths = [Truth.from_sample(data.read(key)) for key in _spread(keys, num_for_threshold)]
    prq = prq_of_thresholds(room, truths, load_protocol("strict"))
    threshold = max(prq, key=lambda each: prq[each])
    facts = {"num_samples": len(keys), "threshold": threshold, "prq_on_training_samples": prq[threshold]}
    return with_distances(room.voxels(threshold)), facts


def with_distances(surface: LabelledVoxels) -> PredictedVoxels:
    """A prediction whose surface is these voxels, and whose distance is that to the nearest of them."""
    coords = np.stack(np.unravel_index(surface.linear_index, surface.shape), axis=1).astype(np.float64)
    index, distance, place = distance_to_points(coords, surface.shape, DISTANCE_TRUNCATION_VOX)
    is_surface = distance == 0
    semantic = np.where(is_surface, surface.semantic[place], 0) if len(index) else np.zeros(0)
    labels = semantic.astype(np.uint8), np.zeros(len(index), np.int32)
    return PredictedVoxels(surface.shape, index.astype(np.int32), distance.astype(np.float32), *labels)


def _spread(keys: Sequence[str], count: int) -> Sequence[str]:
    return keys[:: max(1, len(keys) // count)][:count]
