"""Fused scenes of whole data roots: `<room>.npz` as the contract has predictions, and `fused.json` with what was fused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.predictions import read_scene, write_prediction
from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file, write_text_atomically
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

INDEX, FORMAT = "fused.json", "panoptic3d-fused"
_RIGID_TOLERANCE = 0.01  # of the determinant
_ADVICE = "fuse the rooms again"


@dataclass(frozen=True, eq=False)
class FusedRoom:
    """`frames` were fused, `held_out` were not shown to the fusion."""

    name: str
    frames: tuple[str, ...]
    held_out: tuple[str, ...]
    grid: VoxelGrid
    world_from_scene: Float64[Tensor, "4 4"]

    @classmethod
    def of(
        cls, name: str, scene: PanopticScene, frames: Sequence[str], held_out: Sequence[str], world: Tensor
    ) -> "FusedRoom":
        """`world` is `world_from_camera` of the first frame."""
        pose = world.double() @ torch.linalg.inv(scene.views[0].scene_from_camera)
        return cls(name, tuple(frames), tuple(held_out), scene.grid, pose)

    def scene_from_camera(self, world_from_camera: Float64[Tensor, "4 4"]) -> Float64[Tensor, "4 4"]:
        return torch.linalg.inv(self.world_from_scene) @ world_from_camera.double()

    def facts(self) -> dict[str, Any]:
        return {
            "fused": list(self.frames),
            "held_out": list(self.held_out),
            "grid": {
                "shape": list(self.grid.shape),
                "voxel_size_m": self.grid.voxel_size_m,
                "camera_index": list(self.grid.camera_index),
            },
            "world_from_scene": self.world_from_scene.tolist(),
        }


@dataclass(frozen=True, eq=False)
class FusedFolder:
    path: Path
    rooms: dict[str, FusedRoom]
    facts: dict[str, Any]  # checkpoint and thresholds

    def room_of(self, key: str) -> FusedRoom:
        name = key.partition("/")[0]
        if name not in self.rooms:
            raise bad_file(self.file(name), "missing", expected="a fused room", found="nothing")
        return self.rooms[name]

    def file(self, name: str) -> Path:
        return self.path / f"{name}.npz"

    def scene(self, name: str, camera: Camera = FRONT3D_CAMERA) -> PanopticScene:
        return read_scene(self.file(name), camera, self.rooms[name].grid, FRONT3D_TAXONOMY)


def write_fused_room(folder: PathLike, scene: PanopticScene, room: FusedRoom) -> None:
    write_prediction(Path(folder) / f"{room.name}.npz", scene)


def write_fused_index(folder: PathLike, rooms: Sequence[FusedRoom], facts: dict[str, Any]) -> None:
    tree = {"format": FORMAT, **facts, "rooms": {room.name: room.facts() for room in rooms}}
    write_text_atomically(Path(folder) / INDEX, json.dumps(tree, indent=1, allow_nan=False) + "\n")


def open_fused(folder: PathLike) -> FusedFolder:
    path = Path(folder)
    if not (path / INDEX).is_file():
        raise InputError(f"{path} holds no {INDEX}; give the folder that `panoptic3d fuse --data` wrote.")
    with reading(path / INDEX, "the index of fused rooms", advice=_ADVICE):
        tree = json.loads(read_file(path / INDEX))
        if tree.get("format") != FORMAT:
            raise ValueError(f"the format {tree.get('format')!r}")
        rooms = {name: _room(name, facts) for name, facts in tree["rooms"].items()}
    return FusedFolder(path, rooms, {key: tree[key] for key in tree if key not in ("format", "rooms")})


def _room(name: str, facts: dict[str, Any]) -> FusedRoom:
    (x, y, z), (a, b, c) = facts["grid"]["shape"], facts["grid"]["camera_index"]
    grid = VoxelGrid((int(x), int(y), int(z)), float(facts["grid"]["voxel_size_m"]), (float(a), float(b), float(c)))
    pose = torch.tensor(facts["world_from_scene"], dtype=torch.float64)
    if pose.shape != (4, 4) or not bool(torch.isfinite(pose).all()):
        raise ValueError(f"a pose of {name} that is no matrix of 4x4 finite numbers")
    if abs(float(torch.linalg.det(pose)) - 1) > _RIGID_TOLERANCE:
        raise ValueError(f"a pose of {name} that is no rotation and translation")
    return FusedRoom(name, tuple(map(str, facts["fused"])), tuple(map(str, facts["held_out"])), grid, pose)
