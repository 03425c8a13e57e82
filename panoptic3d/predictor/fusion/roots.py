"""`panoptic3d fuse --data ROOT`: every room of a data root, from its first views; the others are held out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from panoptic3d.data.fused import FusedRoom, write_fused_index, write_fused_room
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.splits import Split
from panoptic3d.errors import InputError
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import fuse
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
    """Yields the name of each room once its file is written; the index comes last."""
    if (out / "fused.json").exists():
        raise InputError(f"{out} holds fused rooms already; give another --out.")
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for name, frames in rooms_of(split).items():
        samples = [data.read(f"{name}/{frame}", has_voxels=False) for frame in frames[:num_views]]
        poses = [_pose(sample) for sample in samples]
        fused = fuse([_predicted(sample, network()) for sample in samples], poses, config)
        room = FusedRoom.of(name, fused, frames[:num_views], frames[num_views:], poses[0])
        write_fused_room(out, fused, room)
        done.append(room)
        yield name
    write_fused_index(out, done, _facts(network(), config or FusionConfig(), num_views))


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
