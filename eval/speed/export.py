"""CPU seconds from a scene to its files, on analytic rooms."""

import argparse
import time
from dataclasses import replace
from typing import Any

from panoptic3d.data.frames import sample_from_frame
from panoptic3d.export.segments import segment_meshes
from panoptic3d.predictor.built_scene import build_scene
from panoptic3d.predictor.scene_folder import scene_files, scene_glb
from panoptic3d.rooms.analytic.boxes import random_room, render
from panoptic3d.structures.scene import PanopticScene


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--room", type=int, default=3, metavar="SEED")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="the fastest counts")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    sample = sample_from_frame(render(random_room(arguments.room)), "room", "0000")
    assert sample.truth is not None
    scene = replace(PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy), photo=sample.image)
    built = build_scene(scene)
    stages = {
        "meshes": lambda: segment_meshes(scene),
        "meshes, visibility and colours": lambda: build_scene(scene),
        "glb": lambda: scene_glb(built),
        "all files": lambda: scene_files(scene, "room"),
    }
    seconds = {name: min(_cpu_s(stage) for _ in range(arguments.repeats)) for name, stage in stages.items()}
    sizes = {name: len(data) for name, data in scene_files(scene, "room").items()}
    return {"cpu_s": seconds, "num_faces": len(built.faces), "bytes": sizes}


def _cpu_s(stage: Any) -> float:
    start = time.process_time()
    stage()
    return round(time.process_time() - start, 3)
