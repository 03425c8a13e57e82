"""`panoptic3d fuse --data ROOT`: every room of a data root, from its first views; the others are held out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from panoptic3d.data.fused import INDEX, FusedRoom, open_fused, write_fused_index, write_fused_room
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.splits import Split
from panoptic3d.errors import InputError
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import fuse
from panoptic3d.predictor.fusion.photo_cells import trunk_features
from panoptic3d.predictor.network import SceneNetwork
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene


def rooms_of(split: Split) -> dict[str, list[str]]:
    """Frames by room, in the order of the split."""
    rooms: dict[str, list[str]] = {}
    for key in split.keys:
        name, _, frame = key.partition("/")
        rooms.setdefault(name, []).append(frame)
    return rooms


def fuse_root(
    data: DataRoot,
    split: Split,
    num_views: int,
    out: Path,
    network: Callable[[], SceneNetwork],
    config: FusionConfig | None = None,
) -> Iterator[str]:
    """Yields the name of each room once its file is written and listed. Rooms that the same call has made before stay."""
    facts = _facts(network(), config or FusionConfig(), num_views)
    there = _begun(out, facts)
    done = []
    for name, frames in rooms_of(split).items():
        if name in there and there[name].frames == tuple(frames[:num_views]):
            done.append(there[name])
            yield name
            continue
        samples = [data.read(f"{name}/{frame}", has_voxels=False) for frame in frames[:num_views]]
        poses = [_pose(sample) for sample in samples]
        scenes = [_predicted(sample, network()) for sample in samples]
        fused = fuse(scenes, poses, config, features_of(scenes, config, network))
        room = FusedRoom.of(name, fused, frames[:num_views], frames[num_views:], poses[0])
        write_fused_room(out, fused, room)
        done.append(room)
        write_fused_index(out, done, facts)
        yield name


def features_of(
    scenes: Sequence[PanopticScene], config: FusionConfig | None, network: Callable[[], SceneNetwork]
) -> list[torch.Tensor] | None:
    """What learned weights need. None without them."""
    if config is None or config.photo_weights == "equal":
        return None
    return [trunk_features(scene, network()) for scene in scenes]


def _begun(out: Path, facts: dict[str, Any]) -> dict[str, FusedRoom]:
    """What the same call has made in this folder before. The index, without rooms at first, says whose folder it is."""
    if (out / INDEX).exists():
        before = open_fused(out)
        if before.facts != facts:
            raise InputError(f"{out} holds rooms that were fused in another way; give another --out.")
        return before.rooms
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no fused rooms; give a new folder as --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_fused_index(out, [], facts)
    return {}


def _predicted(sample: Sample, network: SceneNetwork) -> PanopticScene:
    """As `evaluate --checkpoint` predicts it: the sample's camera is exact, and its photo has the size that networks take."""
    (scene,) = network.scenes(sample.image[None], [sample.camera])
    return replace(scene, photo=sample.image)


def _pose(sample: Sample) -> torch.Tensor:
    if sample.world_from_camera is None:
        raise InputError(f"{sample.key} has no camera pose; fuse roots that have campose files.")
    return sample.world_from_camera


def _facts(network: SceneNetwork, config: FusionConfig, num_views: int) -> dict[str, Any]:
    return {"checkpoint": network.checkpoint, "num_views": num_views, "config": config.model_dump()}


def num_rooms(split: Split, num_views: int) -> int:
    rooms: Sequence[list[str]] = list(rooms_of(split).values())
    few = sum(len(frames) < num_views for frames in rooms)
    if few:
        raise InputError(f"{few} of {len(rooms)} rooms have fewer than {num_views} views; give a smaller --views.")
    return len(rooms)
