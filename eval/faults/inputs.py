"""Small inputs of all verbs: rooms of 32^3 voxels, two photos, three stools, an untrained PanoRecon, a tiny method."""

from pathlib import Path

import torch
import yaml
from PIL import Image

from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.packed.unpack import unpack_root
from panoptic3d.data.predictions import write_prediction
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.models.checkpoints.family import export_published
from panoptic3d.models.panorecon.family import PANORECON
from panoptic3d.rooms.analytic.boxes import random_room, render
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from tests.predictor.untrained import make_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
_CAMERA = Camera(55.0, 55.0, 31.5, 23.5, width=64, height=48)
_GRID = VoxelGrid(shape=(32, 32, 32), voxel_size_m=0.2, camera_index=(15.5, 15.5, 1.0))
_CHAIR = "v 0 0 0\nv 1 0 0\nv 0 0 1\nv 0 1 0\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"


def make_inputs(folder: Path) -> None:
    folder.mkdir()
    rooms = small_rooms(folder, num_rooms=6)
    keys = list(rooms.keys())
    (folder / "all.txt").write_text("".join(f"{key}\n" for key in keys))
    (folder / "predictions").mkdir()
    for key in keys:
        sample = rooms.read(key)
        assert sample.truth is not None
        scene = PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy)
        write_prediction(folder / "predictions" / f"{key.replace('/', '_')}.npz", scene)
    tiny = open_root(REPOSITORY / "data" / "tiny")
    unpack_root(tiny, folder / "released", list(tiny.keys())[:1])
    _photos(folder / "photos")
    _furniture(folder / "furniture")
    (folder / "train.yaml").write_text(yaml.safe_dump(training(folder / "rooms", num_steps=12)))
    make_checkpoint(folder / "untrained")
    state = export_published(PANORECON, folder / "untrained")
    only_2d = {name: tensor for name, tensor in state.items() if name.startswith(PANORECON.stage_2d)}
    torch.save({"model": only_2d}, folder / "published.pth")


def small_rooms(folder: Path, num_rooms: int) -> DataRoot:
    """Packed, in `folder/rooms`."""
    made = folder / "small-released"
    for seed in range(num_rooms):
        frame = render(random_room(seed), _CAMERA, _GRID)
        write_front3d_sample(made, sample_from_frame(frame, f"room-{seed}", "0001"))
    write_frustum_mask(made, frame.frustum_mask)
    source = open_root(made, camera=_CAMERA, grid=_GRID)
    report = pack_root(source, folder / "rooms", source.keys())
    assert not report.failed
    return open_root(folder / "rooms")


def training(rooms: Path, num_steps: int) -> dict:
    """Everything that has a state: Adam, an average, dropout, statistics of norms, two stages, validation."""
    return {
        "method": "tests.engine.small_method:SmallMethod",
        "settings": {"width": 2, "norm": "batch", "dropout": 0.2},
        "data": {"root": str(rooms)},
        "stages": [
            {"name": "2d", "steps": num_steps // 2, "train": ["2d"]},
            {"name": "joint", "steps": num_steps - num_steps // 2},
        ],
        "loader": {"num_workers": 0},
        "schedule": {"name": "cosine", "warmup_steps": 10},
        "ema_decay": 0.9,
        "clip_norm": 1.0,
        "checkpoint": {"every": 3},
        "validation": {"every": 8, "num_samples": 2},
        "log_every": 1,
        "device": "cpu",
    }


def _photos(folder: Path) -> None:
    folder.mkdir()
    for name in ("bedroom", "dining"):
        with Image.open(REPOSITORY / "data" / "photos" / f"{name}.jpg") as photo:
            photo.reduce(2).save(folder / f"{name}.png")


def _furniture(folder: Path) -> None:
    folder.mkdir()
    rows = ["file,role,licence,author"]
    for number in range(3):
        (folder / f"{number}.obj").write_text(_CHAIR)
        rows.append(f"{number}.obj,stool,CC0-1.0,me")
    (folder / "models.csv").write_text("\n".join(rows) + "\n")
