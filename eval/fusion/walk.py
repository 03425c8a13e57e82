"""Photos along a walk without poses: how well COLMAP places them, and what the fused scene loses against true poses.

python -m eval.fusion.walk --rooms 4 --json OUT.jsonl [--checkpoint tiny]
Rooms are generated here, by seed. Poses are aligned to the true ones by a similarity: its rotation is the mean over the
cameras, its scale and translation fit the camera centres by least squares. Needs the extra `poses`.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from eval.fusion.predicted import PredictedViews
from eval.fusion.rooms import Room, cut_to_views, view_sums
from panoptic3d.engine.evaluation.truth import true_frame_of
from panoptic3d.engine.generation.plan import GenerationConfig
from panoptic3d.engine.generation.room import grid_of, make_scene
from panoptic3d.engine.generation.sample import sample_of_view
from panoptic3d.metrics.bootstrap import mean_scores
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.fusion.posed import fuse_posed
from panoptic3d.predictor.photos import Photo
from panoptic3d.predictor.poses.posed_photos import PosedPhoto
from panoptic3d.predictor.poses.structure_from_motion import photos_placed_by_colmap
from panoptic3d.rooms.layout.views import pose
from panoptic3d.rooms.meshes.soup import soup_of
from panoptic3d.rooms.render.fast import LitRoom
from panoptic3d.rooms.render.raycast import Caster
from panoptic3d.rooms.scene import View
from panoptic3d.rooms.truth.pixels import frustum_truth, pixel_truth
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.sample import Sample

_PHOTO_SIZE = (960, 720)
_STEP_M, _WALL_M = 0.12, 0.35  # between photos; between the walker and what is beside him
_BOB_M = 0.04


@dataclass(frozen=True, eq=False)
class Walk:
    samples: list[Sample]  # at the size of networks
    photos: list[Photo]  # larger ones, as a person would take


def walk(seed: int, num_photos: int) -> Walk:
    """Around what the room's first view looks at, as far to both sides as there is room."""
    scene = make_scene(seed, GenerationConfig())
    soup = soup_of(scene)
    caster = Caster(soup)
    painter = LitRoom(scene, soup, caster)
    samples, photos = [], []
    for number, matrix in enumerate(_steps(scene.views[0], caster, num_photos)):
        view = View(FRONT3D_CAMERA, matrix)
        pixels = pixel_truth(soup, caster, view)
        image = painter.photo(view, pixels.hits, 0)
        truth = frustum_truth(soup, view, grid_of(view.camera), pixels)
        samples.append(sample_of_view(f"walk-{seed}/{number:04d}", view, grid_of(view.camera), pixels, truth, image))
        large = View(FRONT3D_CAMERA.resized(*_PHOTO_SIZE), matrix)
        photo = painter.photo(large, pixel_truth(soup, caster, large).hits, 0)
        photos.append(Photo(torch.from_numpy(photo.transpose(2, 0, 1).copy()), _PHOTO_SIZE))
    return Walk(samples, photos)


def _steps(first: View, caster: Caster, num: int) -> list[Float64[np.ndarray, "4 4"]]:
    eye, right, ahead = (first.world_from_camera[:3, column] for column in (3, 0, 2))
    free = [float(caster.cast(eye[None], side[None]).distance[0]) - _WALL_M for side in (-right, right)]
    length = min(_STEP_M * (num - 1), max(sum(free), 0.3))
    start = float(np.clip(-length / 2, -free[0], max(free[1] - length, -free[0])))
    target = eye + ahead * float(caster.cast(eye[None], ahead[None]).distance[0])
    matrices = []
    for number, aside in enumerate(start + np.linspace(0, length, num)):
        place = eye + aside * right + np.array([0.0, 0.0, _BOB_M * np.sin(2.1 * number)])
        way = target - place
        heading, pitch = np.arctan2(way[1], way[0]), np.arctan2(way[2], np.hypot(way[0], way[1]))
        matrices.append(pose(tuple(place.tolist()), float(np.degrees(heading)), float(np.degrees(pitch))))
    return matrices


def measured(seed: int, num: int, views: PredictedViews) -> dict[str, Any]:
    taken = walk(seed, num)
    names = [sample.frame for sample in taken.samples]
    start = time.process_time()
    found = photos_placed_by_colmap(list(zip(names, taken.photos, strict=True)), GivenCamera())
    seconds = time.process_time() - start
    kept = [names.index(pose.name) for pose in found.photos]
    samples = [taken.samples[n] for n in kept]
    rotation_deg, translation_m = errors_of([p.world_from_camera for p in found.photos], _true(samples))
    centres = np.stack([matrix[:3, 3] for matrix in _true(taken.samples)])
    lens = found.photos[0].camera
    assert lens is not None, "COLMAP's model has one"
    return {
        "room": seed,
        "num_photos": num,
        "num_placed": len(kept),
        "rotation_deg": float(rotation_deg.max()),
        "translation_share": float(translation_m.max() / np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()),
        "focal_error": float(lens.fx_px / FRONT3D_CAMERA.resized(*_PHOTO_SIZE).fx_px - 1),
        "cpu_s": round(seconds, 1),
        "sums": _fused(samples, list(found.photos), views),
    }


def errors_of(
    found: list[Float64[np.ndarray, "4 4"]], true: list[Float64[np.ndarray, "4 4"]]
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Degrees and metres of each camera after alignment."""
    turns = [b[:3, :3] @ a[:3, :3].T for a, b in zip(found, true, strict=True)]
    u, _, vt = np.linalg.svd(np.sum(turns, axis=0))
    mean = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    cosine = np.array([(np.trace(mean.T @ turn) - 1) / 2 for turn in turns])
    here = np.stack([mean @ matrix[:3, 3] for matrix in found])
    there = np.stack([matrix[:3, 3] for matrix in true])
    here, there = here - here.mean(axis=0), there - there.mean(axis=0)
    scale = float((here * there).sum() / (here * here).sum())
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.linalg.norm(scale * here - there, axis=1)


def _fused(samples: list[Sample], found: list[PosedPhoto], views: PredictedViews) -> dict[str, Any]:
    """Sums of PRQ of the views: alone, with COLMAP's poses at the scale that is found, and with the true ones."""
    scenes, frames = [views.scene(sample) for sample in samples], [true_frame_of(sample) for sample in samples]
    names = [sample.frame for sample in samples]
    truly = [PosedPhoto(name, matrix) for name, matrix in zip(names, _true(samples), strict=True)]
    room = Room(samples[0].scene, samples, frames, scenes)
    protocol, sums = load_protocol("strict"), {"photo": view_sums(scenes, frames, load_protocol("strict"))}
    for way, poses, scale in (("colmap", found, None), ("true poses", truly, 1.0)):
        fused = fuse_posed(scenes, poses, names, scale)
        sums[way] = view_sums(cut_to_views(fused, room, room.poses), frames, protocol)
    return sums


def _true(samples: list[Sample]) -> list[Float64[np.ndarray, "4 4"]]:
    return [sample.world_from_camera.numpy() for sample in samples if sample.world_from_camera is not None]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| room | placed | rotation | translation / walk | focal | CPU s | PRQ photo | colmap | true poses |"]
    lines += ["| --- " * 9 + "|"]
    for row in rows:
        prq = [_prq([row], way) for way in ("photo", "colmap", "true poses")]
        lines.append(
            f"| {row['room']} | {row['num_placed']} of {row['num_photos']} | {row['rotation_deg']:.2f}° | "
            f"{row['translation_share']:.1%} | {row['focal_error']:+.1%} | {row['cpu_s']} | "
            + " | ".join(f"{100 * value:.2f}" for value in prq)
            + " |"
        )
    total = " | ".join(f"{100 * _prq(rows, way):.2f}" for way in ("photo", "colmap", "true poses"))
    return "\n".join([*lines, f"| all | | | | | | {total} |"])


def _prq(rows: Sequence[Mapping[str, Any]], way: str) -> float:
    views = [np.array(view["prq"], np.int64) for row in rows for view in row["sums"][way]]
    return float(mean_scores(np.sum(views, axis=0), "classes_seen")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=30_000_100)
    parser.add_argument("--photos", type=int, default=12, help="of each walk")
    parser.add_argument("--checkpoint")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    views = PredictedViews(find_checkpoint(arguments.checkpoint))
    rows = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.rooms):
        rows.append(measured(seed, arguments.photos, views))
        with arguments.json.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
