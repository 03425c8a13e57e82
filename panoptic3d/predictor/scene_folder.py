"""A scene as files: scene.npz, scene.glb, scene.json, preview.png and index.html (docs/scenes-on-disk.md)."""

import io
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.data.predictions import prediction_bytes
from panoptic3d.errors import InputError, printable
from panoptic3d.export.facts import scene_facts, segment_facts
from panoptic3d.export.folder import check_place, output_error, write_folder_atomically
from panoptic3d.export.gltf import GltfNode, glb_bytes
from panoptic3d.export.ply_obj import obj_bytes, ply_bytes
from panoptic3d.export.segments import VertexColors, photo_colors, segment_meshes
from panoptic3d.export.usd import ENDINGS as USD_ENDINGS
from panoptic3d.export.usd import usd_bytes
from panoptic3d.files import write_bytes_atomically
from panoptic3d.predictor.stopwatch import Stopwatch
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import hashes_of
from panoptic3d.viewer.page import scene_page
from panoptic3d.viewer.palette import instance_colors
from panoptic3d.viewer.preview import preview_png
from panoptic3d.viewer.raster import Fragments, rasterize

_SEEN_TOLERANCE_VOX = 1.0


@dataclass(frozen=True, eq=False)
class BuiltScene:
    """The meshes of a scene with their colours and facts, and what the photo's camera sees of them."""

    scene: PanopticScene
    nodes: tuple[GltfNode, ...]
    seen: Fragments
    facts: dict[str, Any]

    @property
    def vertices_m(self) -> Float32[Tensor, "v 3"]:
        return torch.cat([torch.zeros(0, 3), *(node.part.mesh.vertices for node in self.nodes)])

    @property
    def faces(self) -> Int64[Tensor, "f 3"]:
        return _joined_faces([node.part.mesh.faces for node in self.nodes], [len(n.part.normals) for n in self.nodes])


def build_scene(scene: PanopticScene, simplify_vox: float = 0.0) -> BuiltScene:
    """Without a photo every colour is the class's. `simplify_vox` above 0 merges vertices in cubes of that side."""
    photo = scene.photo
    if photo is not None and tuple(photo.shape[1:]) != (scene.camera.height, scene.camera.width):
        size = f"{scene.camera.width}x{scene.camera.height}"
        raise InputError(
            f"the photo is {photo.shape[2]}x{photo.shape[1]} and the scene's camera {size}; they must agree."
        )
    if not 0 <= simplify_vox < math.inf:
        raise InputError(f"meshes cannot be simplified to {simplify_vox} voxels; give 0 (not at all) or more.")
    parts = segment_meshes(scene, simplify_vox)
    vertices = torch.cat([torch.zeros(0, 3), *(part.mesh.vertices for part in parts)])
    faces = _joined_faces([part.mesh.faces for part in parts], [len(part.normals) for part in parts])
    seen = rasterize(vertices, faces, scene.camera)
    tolerance_m = _SEEN_TOLERANCE_VOX * scene.grid.voxel_size_m
    nodes = []
    for part in parts:
        if photo is None:
            color = torch.tensor(part.class_color, dtype=torch.uint8).expand(len(part.normals), 3)
            colors = VertexColors(color, torch.zeros(len(color), dtype=torch.bool))
        else:
            colors = photo_colors(part, photo, scene.camera, seen.depth_m, tolerance_m)
        instance_id = part.segment.instance_id if part.segment else 0
        r, g, b = instance_colors(torch.tensor([instance_id]))[0].tolist() if instance_id else part.class_color
        nodes.append(GltfNode(part, colors, segment_facts(part, scene, (r, g, b))))
    segments = [node.extras for node in nodes if node.part.segment is not None]
    return BuiltScene(scene, tuple(nodes), seen, scene_facts(scene, segments))


def save_scene(
    scene: PanopticScene, folder: str | os.PathLike[str], overwrite: bool = False, simplify_vox: float = 0.0
) -> None:
    """All files of the contract, or none: they appear together."""
    check_place(Path(folder), overwrite)
    write_folder_atomically(folder, scene_files(scene, Path(folder).name, simplify_vox), overwrite)


def scene_files(scene: PanopticScene, title: str, simplify_vox: float = 0.0) -> dict[str, bytes]:
    """The seconds of each stage go into scene.json, which is why it comes last. What needs nothing of each other runs in two
    threads: deflating and work on large tensors leave Python's lock.
    """
    watch = Stopwatch()
    with ThreadPoolExecutor(1, thread_name_prefix="scene") as beside:
        npz = beside.submit(watch.timed, "npz", lambda: prediction_bytes(scene))
        built = watch.timed("meshes and colours", lambda: build_scene(scene, simplify_vox))
        picture = scene.photo if scene.photo is not None else _class_picture(built)
        preview = beside.submit(watch.timed, "preview", lambda: _preview(built, picture))
        glb = watch.timed("glb", lambda: scene_glb(built))
        page = watch.timed("page", lambda: _page(built, title, glb, picture))
        files = {
            "scene.npz": npz.result(),
            "scene.glb": glb,
            "preview.png": preview.result(),
            "index.html": page,
        }
    seconds = {**(built.facts["seconds"] or {}), **watch.seconds}
    facts = built.facts | {"seconds": seconds, "sha256": hashes_of(files)}
    files["scene.json"] = (json.dumps(facts, indent=2, allow_nan=False) + "\n").encode()
    return files


def _page(built: BuiltScene, title: str, glb: bytes, picture: UInt8[Tensor, "3 h w"]) -> bytes:
    kind, encoded = _web_picture(picture)
    return scene_page(printable(title), built.facts, glb, encoded, kind, _focus_m(built)).encode()


def save_mesh(scene: PanopticScene, path: str | os.PathLike[str], simplify_vox: float = 0.0) -> None:
    """One file, its kind by its ending: .glb, .ply, .obj, or one of USD."""
    makers = {".glb": scene_glb, ".ply": lambda b: ply_bytes(b.nodes), ".obj": lambda b: obj_bytes(b.nodes)}
    makers |= {ending: lambda b: usd_bytes(b.nodes, suffix) for ending in USD_ENDINGS}
    suffix = Path(path).suffix.lower()
    if suffix not in makers:
        raise InputError(f"{path} ends in {suffix or 'nothing'}; give a name that ends in {', '.join(makers)}.")
    data = makers[suffix](build_scene(scene, simplify_vox))
    try:
        write_bytes_atomically(path, data)
    except OSError as error:
        raise output_error(Path(path), error) from error


def scene_glb(built: BuiltScene) -> bytes:
    extras = {key: built.facts[key] for key in ("camera", "camera_source", "taxonomy", "checkpoint")}
    return glb_bytes(built.nodes, extras)


def _joined_faces(faces: Sequence[Tensor], num_vertices: Sequence[int]) -> Tensor:
    starts = torch.tensor([0, *num_vertices]).cumsum(0)[:-1].tolist()
    return torch.cat(
        [torch.zeros(0, 3, dtype=torch.long), *(f + start for f, start in zip(faces, starts, strict=True))]
    )


def _focus_m(built: BuiltScene) -> list[float]:
    """The middle of the things, or of everything where there is none."""
    things = [n.part.mesh.vertices for n in built.nodes if n.part.segment and n.part.segment.is_thing]
    points = torch.cat(things) if sum(map(len, things)) else built.vertices_m
    return points.median(dim=0).values.tolist() if len(points) else [0.0, 0.0, 2.0]


def _face_colors(built: BuiltScene, of_node: list[Tensor]) -> UInt8[Tensor, "f 3"]:
    parts = [c[node.part.mesh.faces[:, 0]] for node, c in zip(built.nodes, of_node, strict=True)]
    return torch.cat([torch.zeros(0, 3, dtype=torch.uint8), *parts])


def _panoptic_colors(built: BuiltScene) -> UInt8[Tensor, "f 3"]:
    one = [torch.tensor(n.extras["instance_color"], dtype=torch.uint8) for n in built.nodes]
    return _face_colors(built, [c.expand(len(n.part.normals), 3) for c, n in zip(one, built.nodes, strict=True)])


def _class_picture(built: BuiltScene) -> UInt8[Tensor, "3 h w"]:
    """In place of a photo that nobody has: what its camera sees, in the colours of the segments."""
    colors = _panoptic_colors(built)
    height, width = built.seen.face.shape
    picture = torch.full((height, width, 3), 60, dtype=torch.uint8)
    hit = built.seen.face >= 0
    picture[hit] = colors[built.seen.face[hit]]
    return picture.permute(2, 0, 1).contiguous()


def _preview(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> bytes:
    legend = []
    for node in built.nodes:
        r, g, b = node.extras["instance_color"]
        legend.append((node.part.name, (r, g, b)))
    photo_faces = _face_colors(built, [node.colors.color for node in built.nodes])
    return preview_png(picture, built.seen, built.vertices_m, built.faces, photo_faces, _panoptic_colors(built), legend)


def _web_picture(picture: UInt8[Tensor, "3 h w"]) -> tuple[str, bytes]:
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((1024, 1024))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "image/jpeg", buffer.getvalue()
