"""Scores of fused scenes: every view as the scene shows it, and the panoptic quality of the whole scene (PQ_scene)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panoptic3d.data.fused import FusedFolder, FusedRoom, open_fused
from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.splits import Split
from panoptic3d.engine.evaluation.records import SampleRecord
from panoptic3d.engine.evaluation.truth import file_stamp
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.export.scene_pixels import ScenePixels, pooled
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.scene_quality import scene_quality
from panoptic3d.metrics.table import Table
from panoptic3d.metrics.tally import Tally, scores_of
from panoptic3d.randomness import numpy_generator
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_cut import cut_scene
from panoptic3d.viewer.raster import rasterize

_NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class FusedPredictions:
    folder: Path

    @cached_property
    def fused(self) -> FusedFolder:
        return open_fused(self.folder)

    def stamp(self, key: str) -> list:
        name = key.partition("/")[0]
        return [str(self.folder.resolve()), file_stamp(self.fused.file(name))]

    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        """What of the fused scene lies in the frustum of a view. Raises `BadFileError` where a file is not sound."""
        room = self.fused.room_of(key)
        sample = data.read(key)
        assert sample.truth is not None
        scene = self.scene(room.name)
        pose = room.scene_from_camera(_pose(sample))
        return PredictedVoxels.from_scene(
            cut_scene(scene, pose, sample.camera, sample.truth.grid, sample.truth.frustum_mask)
        )

    def scene(self, name: str) -> PanopticScene:
        return _scene(self.folder, name, file_stamp(self.fused.file(name)))


def scene_scores(
    predictions: FusedPredictions, data: DataRoot, split: Split, compat: str | None, left_out: Collection[str] = ()
) -> dict[str, Any]:
    """PQ_scene of each room over its fused views and over those held out, and the means with intervals over rooms. Views
    in `left_out` have no ground truth that can be read. A room of the split that was not fused counts as nothing found.
    """
    asked = dict.fromkeys(key.partition("/")[0] for key in split.keys if key not in left_out)
    missing = dict.fromkeys((name for name in asked if name not in predictions.fused.rooms), 0.0)
    groups: dict[str, dict[str, float]] = {"fused": missing, "held_out": {}}
    for name, room in predictions.fused.rooms.items():
        if name not in asked:
            continue
        for group, listed in (("fused", room.frames), ("held_out", room.held_out)):
            frames = [frame for frame in listed if f"{name}/{frame}" not in left_out]
            if frames:
                groups[group][name] = _quality(predictions, room, data, frames, compat)
    return {"compat": compat} | {group: _summary(rooms) for group, rooms in groups.items() if rooms}


def prq_apart(
    predictions: FusedPredictions, records: Sequence[SampleRecord], protocol: Protocol
) -> dict[str, dict[str, Any]]:
    """PRQ of the views that were fused, and of those that were held out."""
    groups: dict[str, list[Tally]] = {"fused": [], "held_out": []}
    for record in records:
        room = predictions.fused.rooms.get(record.scene)
        if record.bad_truth is None:
            group = "fused" if room is None or record.key.partition("/")[2] in room.frames else "held_out"
            groups[group].append(record.protocols[protocol.name].score.tally)
    return {
        group: {"num_samples": len(tallies), "prq": scores_of(Tally.total(tallies), protocol.mean_over).all.prq}
        for group, tallies in groups.items()
        if tallies
    }


def tables_of_fusion(fusion: Mapping[str, Any]) -> Table:
    """As `scene_scores` and `prq_apart` made it."""
    rows = []
    for group in ("fused", "held_out"):
        views, scene = fusion["views"].get(group), fusion["scene"].get(group)
        if views is not None and scene is not None:
            between = " to ".join(f"{100 * end:.2f}" for end in scene["interval"] or ())
            prq, pq = f"{100 * views['prq']:.2f}", f"{100 * scene['pq_scene']:.2f}"
            rows.append([group.replace("_", " "), prq, pq, between, str(views["num_samples"])])
    compat = fusion["scene"]["compat"]
    title = "Fused scenes" + (f" (PQ_scene as {compat} counts it)" if compat else "")
    return Table(title, ("views", "PRQ", "PQ_scene", "95 % over rooms", "n"), rows)


@lru_cache(maxsize=1)
def _scene(folder: Path, name: str, stamp: tuple[str, int, int]) -> PanopticScene:
    """Views of a room come one after the other. `stamp` is of its file: another one is read again."""
    return open_fused(folder).scene(name)


@lru_cache(maxsize=1)
def _pixels(folder: Path, name: str, stamp: tuple[str, int, int]) -> ScenePixels:
    return ScenePixels.of(_scene(folder, name, stamp))


def _quality(
    predictions: FusedPredictions, room: FusedRoom, data: DataRoot, frames: Sequence[str], compat: str | None
) -> float:
    """0 where a file is not sound: as for views, of which the result lists the failures."""
    try:
        return _quality_of_views(predictions, room, data, frames, compat)
    except BadFileError:
        return 0.0


def _quality_of_views(
    predictions: FusedPredictions, room: FusedRoom, data: DataRoot, frames: Sequence[str], compat: str | None
) -> float:
    pixels = _pixels(predictions.folder, room.name, file_stamp(predictions.fused.file(room.name)))
    predicted, true = [], []
    for frame in frames:
        sample = data.read(f"{room.name}/{frame}", has_voxels=False)
        pose = room.scene_from_camera(_pose(sample))
        predicted.append(pixels.seen_by(sample.camera, pose, lambda *mesh: rasterize(*mesh).face))
        true.append((sample.semantic_2d, sample.instance_2d))
    (classes, ids), (true_classes, true_ids) = pooled(predicted), pooled(true)
    return scene_quality(
        *(side.numpy() for side in (classes, ids, true_classes, true_ids)),
        things=data.taxonomy.thing_ids,
        stuff=data.taxonomy.stuff_ids,
        compat=compat,
    ).pq


def _summary(rooms: dict[str, float]) -> dict[str, Any]:
    values = np.array(list(rooms.values()))
    random = numpy_generator(0, "rooms of fused scenes")
    draws = values[random.integers(0, len(values), (_NUM_RESAMPLES, len(values)))].mean(axis=1)
    interval = [float(q) for q in np.quantile(draws, [0.025, 0.975])] if len(values) > 1 else None
    return {"pq_scene": float(values.mean()), "interval": interval, "rooms": rooms}


def _pose(sample: Sample) -> torch.Tensor:
    if sample.world_from_camera is None:
        raise InputError(
            f"{sample.key} has no camera pose, and fused scenes need them; score roots that have campose files."
        )
    return sample.world_from_camera
