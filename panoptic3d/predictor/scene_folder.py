"""A scene as files: scene.npz, scene.glb, scene.json, preview.png and index.html (docs/scenes-on-disk.md)."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.data.predictions import prediction_bytes
from panoptic3d.errors import InputError, printable
from panoptic3d.export.confidence import confidence_at
from panoptic3d.export.facts import unsure_below
from panoptic3d.export.folder import check_place, output_error, write_folder_atomically
from panoptic3d.export.gltf import GltfPhoto, glb_bytes, vertices_in_file
from panoptic3d.export.ply_obj import obj_bytes, ply_bytes
from panoptic3d.export.usd import ENDINGS as USD_ENDINGS
from panoptic3d.export.usd import usd_bytes
from panoptic3d.files import write_bytes_atomically
from panoptic3d.given import path_of
from panoptic3d.predictor.built_scene import BuiltScene, build_scene
from panoptic3d.predictor.saved_scene import further_arrays
from panoptic3d.predictor.scene_pictures import class_picture, jpeg_bytes, jpeg_of_image, map_files, preview
from panoptic3d.stopwatch import Stopwatch
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_check import check_scene
from panoptic3d.structures.scene_files import hashes_of
from panoptic3d.viewer.page import scene_page
from panoptic3d.viewer.png import png_bytes

_TEXTURE_QUALITY = 92
_LEVEL = ("floor", "ceiling")  # stuff that lies level
_WIDEST_PREVIEW = 1000  # pixels, in the page
_VIEW_SIZE = (480, 480)  # pixels that a photo of several has in the page, at most


def save_scene(
    scene: PanopticScene,
    folder: str | os.PathLike[str],
    overwrite: bool = False,
    simplify_vox: float = 0.0,
    maps: bool = False,
) -> None:
    """All files of the contract, or none: they appear together."""
    folder = path_of(folder, "the folder of a scene")
    check_place(folder, overwrite)
    check_scene(scene)
    write_folder_atomically(folder, scene_files(scene, folder.name, simplify_vox, maps), overwrite)


def scene_files(scene: PanopticScene, title: str, simplify_vox: float = 0.0, maps: bool = False) -> dict[str, bytes]:
    """The seconds of each stage go into scene.json, which is why it comes last. What needs nothing of each other runs in two
    threads: deflating and work on large tensors leave Python's lock.
    """
    watch = Stopwatch()
    with ThreadPoolExecutor(1, thread_name_prefix="scene") as beside:
        npz = beside.submit(watch.timed, "npz", lambda: prediction_bytes(scene, **further_arrays(scene)))
        built = watch.timed("meshes and colours", lambda: build_scene(scene, simplify_vox))
        picture = scene.photo if scene.photo is not None else class_picture(built)
        sheet = beside.submit(watch.timed, "preview", lambda: preview(built, picture))
        png = beside.submit(watch.timed, "preview.png", lambda: png_bytes(np.asarray(sheet.result())))
        glb = watch.timed("glb", lambda: scene_glb(built))
        page = watch.timed("page", lambda: _page(built, title, glb, picture, sheet.result()))
        files = {
            "scene.npz": npz.result(),
            "scene.glb": glb,
            "preview.png": png.result(),
            "index.html": page,
        }
        if maps:
            files |= watch.timed("maps", lambda: map_files(built, picture))
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
        jpeg_of_image(small, 75),
        stand_in,
        _focus_m(built),
        unsure_below(built.facts["segments"]),
        [None if view.photo is None else jpeg_of_image(_small(view.photo), 80) for view in built.scene.views],
        _confidence_bytes(built),
    )
    return page.encode()


def _confidence_bytes(built: BuiltScene) -> bytes:
    """Of each vertex in the order of the GLB."""
    has_photo = built.scene.photo is not None
    told = [confidence_at(built.scene, vertices_in_file(node.part, has_photo)) for node in built.nodes]
    return b"".join((own * 255).round().byte().numpy().tobytes() for own in told if own is not None)


def _small(photo: UInt8[Tensor, "3 h w"]) -> Image.Image:
    image = Image.fromarray(photo.permute(1, 2, 0).contiguous().cpu().numpy())
    image.thumbnail(_VIEW_SIZE)
    return image


def save_mesh(scene: PanopticScene, path: str | os.PathLike[str], simplify_vox: float = 0.0) -> None:
    """One file, its kind by its ending: .glb, .ply, .obj, or one of USD."""
    makers = {".glb": scene_glb, ".ply": lambda b: ply_bytes(b.nodes), ".obj": lambda b: obj_bytes(b.nodes)}
    makers |= {ending: lambda b: usd_bytes(b.nodes, suffix) for ending in USD_ENDINGS}
    path = path_of(path, "the file of a mesh")
    suffix = path.suffix.lower()
    if suffix not in makers:
        raise InputError(f"{path} ends in {suffix or 'nothing'}; give a name that ends in {', '.join(makers)}.")
    check_scene(scene)
    data = makers[suffix](build_scene(scene, simplify_vox))
    try:
        write_bytes_atomically(path, data)
    except OSError as error:
        raise output_error(path, error) from error


def scene_glb(built: BuiltScene) -> bytes:
    extras = {key: built.facts[key] for key in ("camera", "camera_source", "taxonomy", "checkpoint")}
    extras["frame"] = "x right, y up, z towards the viewer, metres; the photo was taken from the origin along -z"
    scene = built.scene
    photo = None if scene.photo is None else GltfPhoto(jpeg_bytes(scene.photo, _TEXTURE_QUALITY), scene.camera)
    return glb_bytes(built.nodes, extras, scene.camera, photo)


def _focus_m(built: BuiltScene) -> list[float]:
    """Centre of the things, or of everything in a scene without things."""
    things = [n.part.mesh.vertices for n in built.nodes if n.part.segment and n.part.segment.is_thing]
    points = torch.cat(things) if sum(map(len, things)) else built.vertices_m
    return points.median(dim=0).values.tolist() if len(points) else [0.0, 0.0, 2.0]
