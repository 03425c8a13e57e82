"""A scene as files: scene.npz, scene.glb, scene.json, preview.png and index.html (docs/scenes-on-disk.md)."""

import io
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.data.predictions import prediction_bytes
from panoptic3d.errors import InputError, printable
from panoptic3d.export.facts import scene_facts, segment_facts, unsure_below
from panoptic3d.export.folder import check_place, output_error, write_folder_atomically
from panoptic3d.export.gltf import GltfNode, GltfPhoto, glb_bytes
from panoptic3d.export.guess import Sight
from panoptic3d.export.ply_obj import obj_bytes, ply_bytes
from panoptic3d.export.two_layers import layered
from panoptic3d.export.up import up_of_floors
from panoptic3d.export.usd import ENDINGS as USD_ENDINGS
from panoptic3d.export.usd import usd_bytes
from panoptic3d.files import write_bytes_atomically
from panoptic3d.predictor.stopwatch import Stopwatch
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import hashes_of
from panoptic3d.viewer.draw import Drawable
from panoptic3d.viewer.page import scene_page
from panoptic3d.viewer.palette import instance_colors
from panoptic3d.viewer.png import png_bytes
from panoptic3d.viewer.preview import PlanLabel, preview_sheet
from panoptic3d.viewer.raster import Fragments, in_front, rasterize

_TEXTURE_QUALITY = 92
_LEVEL = ("floor", "ceiling")  # stuff that lies level
_WIDEST_PREVIEW = 1000  # pixels, in the page


@dataclass(frozen=True, eq=False)
class BuiltScene:
    """The meshes of a scene with their colours and facts."""

    scene: PanopticScene
    nodes: tuple[GltfNode, ...]
    sight: Sight | None  # what the photo shows, at the pixels of its mesh; None without a photo
    facts: dict[str, Any]

    @cached_property
    def seen(self) -> Fragments:
        """What the photo's camera sees of the meshes."""
        return rasterize(self.vertices_m, self.faces, self.scene.camera)

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
    layers = layered(scene, simplify_vox, lambda *mesh: rasterize(*mesh).depth_m, in_front)
    nodes = []
    for whole, part, colors in zip(layers.volume, layers.parts, layers.colors, strict=True):
        instance_id = part.segment.instance_id if part.segment else 0
        r, g, b = instance_colors(torch.tensor([instance_id]))[0].tolist() if instance_id else part.class_color
        nodes.append(GltfNode(part, colors, segment_facts(whole, scene, (r, g, b))))
    segments = [node.extras for node in nodes if node.part.segment is not None]
    floors = [
        (p.mesh.vertices, p.mesh.faces)
        for p in layers.parts
        if p.segment and not p.segment.is_thing and p.name in _LEVEL
    ]
    return BuiltScene(scene, tuple(nodes), layers.sight, scene_facts(scene, segments, up_of_floors(floors)))


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
        sheet = beside.submit(watch.timed, "preview", lambda: _preview(built, picture))
        preview = beside.submit(watch.timed, "preview.png", lambda: png_bytes(np.asarray(sheet.result())))
        glb = watch.timed("glb", lambda: scene_glb(built))
        page = watch.timed("page", lambda: _page(built, title, glb, picture, sheet.result()))
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


def _page(built: BuiltScene, title: str, glb: bytes, picture: UInt8[Tensor, "3 h w"], sheet: Image.Image) -> bytes:
    small = sheet.reduce(2) if sheet.width > _WIDEST_PREVIEW else sheet
    stand_in = None if built.scene.photo is not None else jpeg_bytes(picture, 90)
    page = scene_page(
        printable(title),
        built.facts,
        glb,
        _jpeg_of_image(small, 75),
        stand_in,
        _focus_m(built),
        unsure_below(built.facts["segments"]),
    )
    return page.encode()


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
    extras["frame"] = "x right, y up, z towards the viewer, metres; the photo was taken from the origin along -z"
    scene = built.scene
    photo = None if scene.photo is None else GltfPhoto(jpeg_bytes(scene.photo, _TEXTURE_QUALITY), scene.camera)
    return glb_bytes(built.nodes, extras, scene.camera, photo)


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


def _preview(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> Image.Image:
    depth_m, label_color = _as_seen(built)
    nodes = sorted(built.nodes, key=lambda node: -node.extras["num_voxels"])
    legend = [(node.part.name, tuple(node.extras["instance_color"])) for node in nodes]
    least = unsure_below(built.facts["segments"])
    unsure = [n.part.name for n in nodes if n.extras["score"] is not None and n.extras["score"] < least]
    mesh = drawable(built, picture)
    up = tuple(built.facts["up"])
    return preview_sheet(mesh, depth_m, label_color, up, _plan_labels(built), legend, unsure)


def _as_seen(built: BuiltScene) -> tuple[Float32[Tensor, "h w"], UInt8[Tensor, "h w 3"]]:
    """Depth and colours of segments as the photo's camera has them; without a photo, from the meshes."""
    if built.sight is None:
        seen = built.seen
        return seen.depth_m, _class_picture(built).permute(1, 2, 0)
    table = torch.tensor([node.extras["instance_color"] for node in built.nodes] or [(0, 0, 0)], dtype=torch.uint8)
    number = torch.from_numpy(built.sight.segment)
    color = table[number.clamp(min=0)]
    return torch.from_numpy(built.sight.depth_m).float(), torch.where((number >= 0)[..., None], color, 60).to(
        torch.uint8
    )


def drawable(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> Drawable:
    def each(values: list[Any], dtype: torch.dtype) -> Tensor:
        rows = [torch.tensor(v, dtype=dtype) for v in values]
        counts = [len(node.part.mesh.faces) for node in built.nodes]
        return torch.cat(
            [torch.zeros(0, *rows[0].shape, dtype=dtype) if rows else torch.zeros(0, dtype=dtype)]
            + [row.expand(n, *row.shape) for row, n in zip(rows, counts, strict=True)]
        )

    parts = [node.part for node in built.nodes]
    is_seen = [torch.arange(len(p.mesh.faces)) < p.num_seen_faces for p in parts]
    names = [node.extras["class"] for node in built.nodes]
    return Drawable(
        vertices_m=built.vertices_m,
        normals=torch.cat([torch.zeros(0, 3), *(part.normals for part in parts)]),
        colors=torch.cat([torch.zeros(0, 3, dtype=torch.uint8), *(node.colors.color for node in built.nodes)]),
        faces=built.faces,
        is_seen=torch.cat([torch.zeros(0, dtype=torch.bool), *is_seen]),
        is_stuff=each([not node.extras["is_thing"] for node in built.nodes], torch.bool),
        is_ceiling=each([name == "ceiling" for name in names], torch.bool),
        photo=picture,
        camera=built.scene.camera,
    )


def _plan_labels(built: BuiltScene) -> list[PlanLabel]:
    """Things of which the network is sure, the larger ones first."""
    labels, least = [], unsure_below(built.facts["segments"])
    for node in sorted(built.nodes, key=lambda node: -node.extras["num_voxels"]):
        extras = node.extras
        if extras["is_thing"] and extras["size_m"] and not (extras["score"] is not None and extras["score"] < least):
            low, high = extras["box_min_m"], extras["box_max_m"]
            x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
            labels.append(PlanLabel(extras["class"], (x, y, z), (extras["size_m"][0], extras["size_m"][2])))
    return labels


def jpeg_bytes(picture: UInt8[Tensor, "3 h w"], quality: int) -> bytes:
    return _jpeg_of_image(Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()), quality)


def _jpeg_of_image(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
