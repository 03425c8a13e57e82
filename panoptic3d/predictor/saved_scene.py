"""A saved scene read back: `PanopticScene.load`. What the contract's three arrays do not hold lies beside them in scene.npz
(photo, depth) and in scene.json (camera, grid, classes, scores, provenance). The files may come from a stranger.
"""

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.data.arrays import Expected, array_names, read_array
from panoptic3d.data.predictions import read_scene
from panoptic3d.errors import InputError, reading
from panoptic3d.given import path_of
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import MAX_POINTS, VoxelGrid
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.scene import PanopticScene, View
from panoptic3d.structures.scene_files import ARRAYS, FACTS, read_facts
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY, SemanticClass, Taxonomy
from panoptic3d.viewer.png import png_bytes

_MAX_PIXELS = 100_000_000
_ADVICE = "predict the scene again, or restore the file"
_KNOWN = {taxonomy.name: taxonomy for taxonomy in (FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY)}


def load_scene(folder: str | os.PathLike[str]) -> PanopticScene:
    """The scene of a folder that `save` wrote."""
    folder = path_of(folder, "the folder of a scene")
    if not os.path.isfile(folder / FACTS):  # also of a name that is too long
        raise InputError(f"{folder} holds no {FACTS}; give the folder that `save` or `panoptic3d predict` wrote.")
    facts = read_facts(folder)
    with reading(folder / FACTS, "the facts of a scene", advice=_ADVICE):
        grid, camera, taxonomy = _grid(facts), _camera(facts["camera"]), _taxonomy(facts)
        scores, class_scores = _scores(facts["segments"])
        provenance = dict(facts["provenance"])
        provenance |= {
            key: facts[key] for key in ("camera_source", "checkpoint", "seconds") if facts.get(key) is not None
        }
        views = facts.get("views") or []
        cameras = [(_camera(view["camera"]), _pose(view["scene_from_camera"])) for view in views]
    path = folder / ARRAYS
    scene = read_scene(path, camera, grid, taxonomy)
    names = array_names(path)
    return PanopticScene(
        scene.distance_vox,
        scene.semantic,
        scene.instance,
        camera,
        grid,
        taxonomy,
        scores,
        class_scores,
        provenance,
        photo=_photo(path, "photo_png", camera) if "photo_png" in names else None,
        depth_map=_depth_map(path, names) if "depth_m" in names else None,
        views=tuple(
            View(of, pose, _photo(path, f"view_{n}_png", of) if f"view_{n}_png" in names else None)
            for n, (of, pose) in enumerate(cameras)
        ),
        known=_volume(path, "known", grid, "bool") if "known" in names else None,
        confidence=_volume(path, "confidence", grid, "float16", "float32") if "confidence" in names else None,
    )


def further_arrays(scene: PanopticScene) -> dict[str, np.ndarray]:
    """What `load_scene` reads besides the contract's three arrays."""
    arrays: dict[str, np.ndarray] = {}
    if scene.photo is not None:
        arrays["photo_png"] = _png(scene.photo)
    if scene.depth_map is not None:
        arrays["depth_m"] = scene.depth_map.depth_m.float().cpu().numpy()
        arrays["depth_from_photo"] = np.array([*scene.depth_map.from_photo.scale, *scene.depth_map.from_photo.shift])
        if scene.depth_map.log_spread is not None:
            arrays["depth_log_spread"] = scene.depth_map.log_spread.float().cpu().numpy()
    for number, view in enumerate(scene.views):
        if view.photo is not None:
            arrays[f"view_{number}_png"] = _png(view.photo)
    if scene.known is not None:
        arrays["known"] = scene.known.cpu().numpy()
    if scene.confidence is not None:
        is_half = scene.confidence.dtype == torch.float16  # as predictions have it; whatever else is kept exactly
        arrays["confidence"] = (scene.confidence if is_half else scene.confidence.float()).cpu().numpy()
    return arrays


def _png(photo: UInt8[Tensor, "3 h w"]) -> UInt8[np.ndarray, " n"]:
    return np.frombuffer(png_bytes(photo.permute(1, 2, 0).contiguous().cpu().numpy()), np.uint8)


def _photo(path: Path, key: str, camera: Camera) -> UInt8[Tensor, "3 h w"]:
    if camera.width * camera.height > _MAX_PIXELS:
        raise InputError(f"the camera of {path.parent} has {camera.width}x{camera.height} pixels, more than is read.")
    data = read_array(path, key, Expected((None,), ("uint8",)))
    with (
        reading(path, "the photo as PNG", key, _ADVICE),
        Image.open(io.BytesIO(data.tobytes()), formats=("PNG",)) as png,
    ):
        if png.size != (camera.width, camera.height):
            raise ValueError(f"{png.size[0]}x{png.size[1]} pixels for a camera of {camera.width}x{camera.height}")
        return torch.from_numpy(np.array(png.convert("RGB"))).permute(2, 0, 1).contiguous()


def _depth_map(path: Path, names: frozenset[str]) -> DepthMap:
    depth = read_array(path, "depth_m", Expected((None, None), ("float32",)))
    sx, sy, dx, dy = read_array(path, "depth_from_photo", Expected((4,), ("float64",))).tolist()
    spread = None
    if "depth_log_spread" in names:
        spread = torch.from_numpy(read_array(path, "depth_log_spread", Expected(depth.shape, ("float32",))))
    return DepthMap(torch.from_numpy(depth), PixelMap((sx, sy), (dx, dy)), spread)


def _volume(path: Path, key: str, grid: VoxelGrid, *dtypes: str) -> Tensor:
    return torch.from_numpy(read_array(path, key, Expected(grid.shape, dtypes)))


def _grid(facts: Mapping[str, Any]) -> VoxelGrid:
    x, y, z = (int(size) for size in facts["grid"]["shape"])
    a, b, c = (float(index) for index in facts["grid"]["camera_index"])
    voxel_size_m = float(facts["grid"]["voxel_size_m"])
    if min(x, y, z) < 1 or x * y * z > MAX_POINTS:
        raise ValueError(f"a grid of {x}x{y}x{z} voxels")
    if not all(math.isfinite(value) for value in (a, b, c, voxel_size_m)) or voxel_size_m <= 0:
        raise ValueError("a grid with numbers that are not finite or not positive")
    return VoxelGrid((x, y, z), voxel_size_m, (a, b, c))


def _camera(facts: Mapping[str, Any]) -> Camera:
    focal_and_centre = (float(facts[key]) for key in ("fx_px", "fy_px", "cx_px", "cy_px"))
    return Camera(*focal_and_centre, width=int(facts["width"]), height=int(facts["height"]))


def _pose(rows: Any) -> Tensor:
    pose = torch.tensor(rows, dtype=torch.float64)
    if pose.shape != (4, 4) or not bool(torch.isfinite(pose).all()):
        raise ValueError("a pose that is no matrix of 4x4 finite numbers")
    return pose


def _taxonomy(facts: Mapping[str, Any]) -> Taxonomy:
    name = str(facts["taxonomy"])
    if name in _KNOWN:
        return _KNOWN[name]
    classes = tuple(_class(number, row) for number, row in enumerate(facts["classes"]))
    return Taxonomy(name, classes, tuple(int(ignored) for ignored in facts["ignored_classes"]))


def _class(number: int, row: Mapping[str, Any]) -> SemanticClass:
    red, green, blue = (int(value) for value in row["color"])
    if row["id"] != number or row["kind"] not in ("void", "thing", "stuff"):
        raise ValueError(f"the class {row!r} in place {number}")
    return SemanticClass(number, str(row["name"]), row["kind"], (red, green, blue))


def _scores(segments: Any) -> tuple[dict[int, float], dict[int, float]]:
    scored = [segment for segment in segments if segment["score"] is not None]
    things = {int(s["id"]): float(s["score"]) for s in scored if s["is_thing"]}
    return things, {int(s["class_id"]): float(s["score"]) for s in scored if not s["is_thing"]}
