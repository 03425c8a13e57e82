"""One room of several views, measured: each photo alone, fused, and the controls that must lose. Sums, a JSON line a room."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.surface import visibility_rows
from panoptic3d.engine.evaluation.truth import TrueFrame, read_true_frame
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import score_sample
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import GatheredViews, fused_scene, gathered_views
from panoptic3d.structures.moving import moved
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_cut import cut_scene


@dataclass(frozen=True, eq=False)
class Room:
    name: str
    samples: Sequence[Sample]
    frames: Sequence[TrueFrame]
    scenes: Sequence[PanopticScene]  # of each photo alone

    @property
    def poses(self) -> list[Tensor]:
        poses = [sample.world_from_camera for sample in self.samples]
        assert all(pose is not None for pose in poses), "generated rooms have poses"
        return [pose for pose in poses if pose is not None]

    def first(self, num: int) -> "Room":
        return replace(self, samples=self.samples[:num], frames=self.frames[:num], scenes=self.scenes[:num])


def read_room(data: DataRoot, name: str, num_views: int, network: Pipeline | None) -> Room:
    """Without a network the scenes are the truth, with ids that say nothing across views."""
    keys = [key for key in data.split(None).keys if key.startswith(f"{name}/")][:num_views]
    samples = [data.read(key) for key in keys]
    scenes = [
        _true_scene(sample, seed) if network is None else _predicted(sample, network)
        for seed, sample in enumerate(samples)
    ]
    return Room(name, samples, [read_true_frame(data, key) for key in keys], scenes)


def measured(room: Room, protocol: Protocol, num_seen: Sequence[int], config: FusionConfig) -> dict[str, Any]:
    """Sums of PRQ and of seen and hidden surface for every way."""
    gathered = gathered_views(room.scenes, room.poses, config)
    shuffled = [*room.poses[1:], room.poses[0]]
    ways = {
        "photo": room.scenes,
        "fused": _cut(fused_scene(gathered, config), room, room.poses),
        "no association": _cut(_unassociated(gathered, config), room, room.poses),
        "poses shuffled": _cut(fused_scene(gathered_views(room.scenes, shuffled, config), config), room, shuffled),
    }
    sums = {way: _sums(scenes, room.frames, protocol) for way, scenes in ways.items()}
    for num in num_seen:
        part = room.first(num)
        scenes = part.scenes
        if num > 1:
            fused = fused_scene(gathered_views(part.scenes, part.poses, config), config)
            scenes = list(_cut(fused, part, part.poses))[:2]
        sums[f"{num} views"] = _sums(list(scenes)[:2], part.frames[:2], protocol)
    return {"room": room.name, "num_views": len(room.samples), "sums": sums}


def _cut(fused: PanopticScene, room: Room, poses: Sequence[Tensor]) -> Iterator[PanopticScene]:
    """As each view sees it."""
    for view, sample in zip(fused.views, room.samples, strict=True):
        assert sample.truth is not None
        yield cut_scene(fused, view.scene_from_camera, sample.camera, sample.truth.grid, sample.truth.frustum_mask)


def _unassociated(gathered: GatheredViews, config: FusionConfig) -> PanopticScene:
    return fused_scene(gathered, config.model_copy(update={"association": "none"}))


def _sums(scenes: Any, frames: Sequence[TrueFrame], protocol: Protocol) -> Mapping[str, Any]:
    tally, seen = None, np.zeros((2, 5), np.int64)
    for scene, frame in zip(scenes, frames, strict=False):
        voxels = LabelledVoxels.from_scene(scene)
        own = score_sample(voxels, frame.truth, protocol).tally
        tally = own if tally is None else tally + own
        seen += np.array(visibility_rows(voxels, frame), np.int64)
    assert tally is not None
    return {"prq": tally.sums.tolist(), "visibility": seen.tolist()}


def _predicted(sample: Sample, network: Pipeline) -> PanopticScene:
    (scene,) = network.infer(sample.image[None], (sample.camera,))
    return replace(moved(scene, "cpu"), distance_vox=scene.distance_vox.float())


def _true_scene(sample: Sample, seed: int) -> PanopticScene:
    assert sample.truth is not None
    scene = PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy)
    found = scene.instance.unique()
    found = found[found > 0].long()
    names = torch.zeros(int(scene.instance.max()) + 1, dtype=torch.int32)
    names[found] = (torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)) + 1).int()
    return replace(scene, instance=names[scene.instance.long()])
