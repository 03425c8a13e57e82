"""Real frames of RGB-D cameras: does the scene stand where the depth says, and what does a known camera height give?

    python -m eval.depth.rgbd FOLDER --out DIR [--checkpoint tiny]

FOLDER holds color_0000N.jpg with depth_0000N.png (millimetres, 525 pixels of focal length) and tum_color.png with
tum_depth.png (1/5000 m). For each frame DIR/rgbd.json has: AbsRel of our own depth, after the best single scale, and with
--camera-height-m of the measured floor; and how far the scene's floor lies from that floor when the measured
depth is handed in. DIR has the scenes.
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panoptic3d.data.depth_files import read_depth_file
from panoptic3d.data.given_depths import DepthOptions
from panoptic3d.files import write_text_atomically
from panoptic3d.geometry.floor_plane import floor_plane
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.room_planes import Plane, PlaneRules
from panoptic3d.machine import describe_machine
from panoptic3d.predictor.built_scene import build_scene
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene

_LOWER = 0.5  # of the picture: where floors are
_RULES = PlaneRules(band_m=0.03)


@dataclass(frozen=True)
class Frame:
    photo: Path
    depth: Path
    camera: Camera
    unit_m: float


def frames_of(folder: Path) -> list[Frame]:
    found = [
        Frame(path, path.with_name(path.name.replace("color", "depth")).with_suffix(".png"), _PRIMESENSE, 0.001)
        for path in sorted(folder.glob("color_*.jpg"))
    ]
    return [*found, Frame(folder / "tum_color.png", folder / "tum_depth.png", _TUM, 1 / 5000)]


_PRIMESENSE = Camera(525.0, 525.0, 319.5, 239.5, 640, 480)
_TUM = Camera(535.4, 539.2, 320.1, 247.6, 640, 480)


def measured_floor(depth_m: np.ndarray, camera: Camera) -> Plane:
    """Of the lower half of the picture; the plane with most points, seen from a tilted camera."""
    points = unproject_depth_map(torch.from_numpy(depth_m).double(), camera.intrinsics)
    lower = points[int(_LOWER * len(points)) :].reshape(-1, 3)
    plane = floor_plane(lower[lower[:, 2].isfinite()], _RULES)
    assert plane is not None, "the frames of this evaluation show their floor"
    return plane


def relative_error(scene: PanopticScene, depth_m: np.ndarray, scale: float | None = 1.0) -> tuple[float, float]:
    """AbsRel and the scale; without one the best of all."""
    assert scene.depth is not None
    own = scene.depth.numpy()
    known = np.isfinite(depth_m) & np.isfinite(own)
    ratio = own[known] / depth_m[known]
    scales = [scale] if scale is not None else np.exp(np.linspace(-1.5, 1.5, 601))
    errors = [float(np.abs(s * ratio - 1).mean()) for s in scales]
    best = int(np.argmin(errors))
    return errors[best], float(scales[best])


def floor_gap_m(scene: PanopticScene, plane: Plane) -> dict[str, float] | None:
    """Of the scene's floor voxels from the measured plane."""
    is_floor = (scene.semantic == scene.taxonomy.id_of("floor")) & (scene.distance_vox < 1)
    index = is_floor.nonzero()
    if not len(index):
        return None
    gap = plane.distance_m(scene.grid.camera_from_index(index.double()))
    return {
        "median_m": float(gap.median()),
        "median_abs_m": float(gap.abs().median()),
        "share_within_4_cm": float((gap.abs() < 0.04).double().mean()),
        "num_voxels": len(index),
    }


def shown_floor_gap_m(scene: PanopticScene, plane: Plane) -> dict[str, float] | None:
    """Of the floor as the photo shows it in the meshes, which follow the depth map, from the measured plane."""
    points = [torch.zeros(0, 3)]
    for node in build_scene(scene).nodes:
        if node.part.name == "floor":
            mesh = node.part.mesh
            points.append(mesh.vertices[mesh.faces[: node.part.num_seen_faces].reshape(-1)])
    gap = plane.distance_m(torch.cat(points).double()).abs()
    return (
        {"median_abs_m": float(gap.median()), "share_within_4_cm": float((gap < 0.04).double().mean())}
        if len(gap)
        else None
    )


def measured(frame: Frame, predictor: Predictor, out: Path) -> dict[str, Any]:
    depth_m = read_depth_file(frame.depth, frame.unit_m)
    plane = measured_floor(depth_m, frame.camera)
    height_m = -plane.offset_m
    alone = predictor(frame.photo, frame.camera)
    held = predictor(frame.photo, frame.camera, camera_height_m=height_m)
    given = predictor(frame.photo, frame.camera, depth=frame.depth, depth_options=DepthOptions(unit_m=frame.unit_m))
    given.save(out / frame.photo.stem, overwrite=True)
    best, scale = relative_error(alone, depth_m, None)
    return {
        "camera_height_m": height_m,
        "abs_rel": relative_error(alone, depth_m)[0],
        "abs_rel_best_scale": best,
        "best_scale": scale,
        "abs_rel_camera_height": relative_error(held, depth_m)[0],
        "scale_by_camera_height": held.provenance["scale"],
        "floor_alone": floor_gap_m(alone, plane),
        "floor_with_depth": floor_gap_m(given, plane),
        "floor_shown_with_depth": shown_floor_gap_m(given, plane),
        "depth": given.provenance["depth"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--checkpoint", default="tiny")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(options.checkpoint, "cpu")
    rows = {frame.photo.stem: measured(frame, predictor, options.out) for frame in frames_of(options.folder)}
    ratio = [row["abs_rel_camera_height"] / row["abs_rel_best_scale"] for row in rows.values()]
    found = {"machine": describe_machine(), "checkpoint": predictor.network.checkpoint, "frames": rows}
    found["median_ratio_camera_height"] = statistics.median(ratio)
    write_text_atomically(options.out / "rgbd.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    for name, row in rows.items():
        told = {k: round(v, 4) for k, v in row.items() if isinstance(v, float)}
        print(
            name,
            told,
            "floor",
            row["floor_with_depth"],
            "alone",
            row["floor_alone"],
            "shown",
            row["floor_shown_with_depth"],
        )


if __name__ == "__main__":
    main()
