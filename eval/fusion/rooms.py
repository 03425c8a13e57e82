"""One room of several views, measured: each photo alone, fused, and the controls that must lose. Sums, a JSON line a room."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from eval.fusion.predicted import PredictedViews
from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.surface import visibility_rows
from panoptic3d.engine.evaluation.truth import TrueFrame, read_true_frame
from panoptic3d.export.scene_pixels import ScenePixels, pooled
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import score_sample
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.scene_quality import scene_quality
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import GatheredViews, fused_scene, gathered_views
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_cut import cut_scene
from panoptic3d.viewer.raster import rasterize

NUM_SCORED = 2  # views on which scenes of fewer views are scored


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


def read_room(data: DataRoot, name: str, num_views: int, views: PredictedViews | None) -> Room:
    """Without predictions the scenes are the truth, with ids that say nothing across views."""
    keys = [key for key in data.split(None).keys if key.startswith(f"{name}/")]
    return read_views(data, keys[:num_views], views)


def read_views(data: DataRoot, keys: Sequence[str], views: PredictedViews | None) -> Room:
    """Of one room."""
    samples = [data.read(key) for key in keys]
    scenes = [
        _true_scene(sample, seed) if views is None else views.scene(sample) for seed, sample in enumerate(samples)
    ]
    return Room(keys[0].partition("/")[0], samples, [read_true_frame(data, key) for key in keys], scenes)


def measured(
    room: Room, protocol: Protocol, num_seen: Sequence[int], num_held_out: int, config: FusionConfig
) -> dict[str, Any]:
    """Sums of PRQ and of seen and hidden surface of each view for every way, and PQ_scene of the views held out."""
    gathered = gathered_views(room.scenes, room.poses, config)
    shuffled = [*room.poses[1:], room.poses[0]]
    ways = {
        "photo": room.scenes,
        "fused": cut_to_views(fused_scene(gathered, config), room, room.poses),
        **{way: cut_to_views(scene, room, room.poses) for way, scene in _unassociated(gathered, config).items()},
        "poses shuffled": cut_to_views(
            fused_scene(gathered_views(room.scenes, shuffled, config), config), room, shuffled
        ),
    }
    sums = {way: view_sums(scenes, room.frames, protocol) for way, scenes in ways.items()}
    known = {1: "photo", len(room.samples): "fused"}
    for num in num_seen:
        sums[f"{num} views"] = (
            sums[known[num]][:NUM_SCORED] if num in known else _of_first(room.first(num), protocol, config)
        )
    held_out = _held_out(room, num_held_out, config) if num_held_out else {}
    return {"room": room.name, "num_views": len(room.samples), "sums": sums, "held_out": held_out}


def view_sums(
    scenes: Iterable[PanopticScene], frames: Sequence[TrueFrame], protocol: Protocol
) -> list[Mapping[str, Any]]:
    """One of each view that is scored."""
    rows = []
    for scene, frame in zip(scenes, frames, strict=False):
        voxels = LabelledVoxels.from_scene(scene)
        tally = score_sample(voxels, frame.truth, protocol).tally
        rows.append({"prq": tally.sums.tolist(), "visibility": visibility_rows(voxels, frame)})
    return rows


def cut_to_views(fused: PanopticScene, room: Room, poses: Sequence[Tensor]) -> Iterator[PanopticScene]:
    """As each view sees it."""
    assert len(poses) == len(fused.views)
    for view, sample in zip(fused.views, room.samples, strict=True):
        assert sample.truth is not None
        yield cut_scene(fused, view.scene_from_camera, sample.camera, sample.truth.grid, sample.truth.frustum_mask)


def pq_scene(fused: PanopticScene, scene_from_world: Tensor, samples: Sequence[Sample]) -> float:
    """Of views that need not be among the fused ones."""
    pixels = ScenePixels.of(fused)
    predicted = [
        pixels.seen_by(s.camera, scene_from_world @ s.world_from_camera.double(), lambda *mesh: rasterize(*mesh).face)
        for s in samples
        if s.world_from_camera is not None
    ]
    sides = (pooled(predicted), pooled([(s.semantic_2d, s.instance_2d) for s in samples]))
    return scene_quality(
        *(labels.numpy() for side in sides for labels in side),
        things=samples[0].taxonomy.thing_ids,
        stuff=samples[0].taxonomy.stuff_ids,
    ).pq


def _of_first(part: Room, protocol: Protocol, config: FusionConfig) -> list[Mapping[str, Any]]:
    fused = fused_scene(gathered_views(part.scenes, part.poses, config), config)
    return view_sums(cut_to_views(fused, part, part.poses), part.frames[:NUM_SCORED], protocol)


def _held_out(room: Room, num: int, config: FusionConfig) -> dict[str, float]:
    part, rest = room.first(len(room.samples) - num), room.samples[-num:]
    gathered = gathered_views(part.scenes, part.poses, config)
    ways = {"fused": fused_scene(gathered, config), **_unassociated(gathered, config)}
    inverse = torch.linalg.inv(part.poses[0].double())
    return {way: pq_scene(scene, scene.views[0].scene_from_camera @ inverse, rest) for way, scene in ways.items()}


def _unassociated(gathered: GatheredViews, config: FusionConfig) -> dict[str, PanopticScene]:
    """Also without dropping: where all views show a thing, none of its many ids wins enough voxels to stay."""
    apart = config.model_copy(update={"association": "none"})
    return {
        "no association": fused_scene(gathered, apart),
        "no association, nothing dropped": fused_scene(gathered, apart.model_copy(update={"kept_above": 0.0})),
    }


def _true_scene(sample: Sample, seed: int) -> PanopticScene:
    assert sample.truth is not None
    scene = PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy)
    found = scene.instance.unique()
    found = found[found > 0].long()
    names = torch.zeros(int(scene.instance.max()) + 1, dtype=torch.int32)
    names[found] = (torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)) + 1).int()
    return replace(scene, instance=names[scene.instance.long()])
