"""One room of a generated data set, from its seed to its files."""

import io
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from panoptic3d.data.front3d_writer import write_front3d_sample
from panoptic3d.data.layouts.packed import PACKED_SUFFIX
from panoptic3d.data.packed.pack import DEPTH_STEPS_PER_M
from panoptic3d.data.packed.sample import encode_sample
from panoptic3d.engine.generation.facts import facts_of
from panoptic3d.engine.generation.plan import GenerationConfig, RoomJob
from panoptic3d.engine.generation.sample import sample_of_view
from panoptic3d.engine.generation.transients import Transient, TransientDraw, with_transient
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import sha256_of_file, write_bytes_atomically
from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.meshes.soup import TriangleSoup, soup_of
from panoptic3d.rooms.render.fast import LitRoom
from panoptic3d.rooms.render.film import Film
from panoptic3d.rooms.render.raycast import Caster
from panoptic3d.rooms.scene import RoomScene, View
from panoptic3d.rooms.truth.extra import extra_truth_bytes
from panoptic3d.rooms.truth.pixels import PixelTruth, frustum_truth, pixel_truth
from panoptic3d.stopwatch import Stopwatch
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid, released_grid
from panoptic3d.structures.sample import Sample

_LEVEL = 12  # of zstandard: a tenth larger than the packer's 19 and thirty times faster
_JPEG_QUALITY = 95


def make_scene(seed: int, config: GenerationConfig) -> RoomScene:
    match config.rooms:
        case "furnished":
            from panoptic3d.rooms.layout import make_room

            return make_room(seed, config.layout_of_views())
        case "boxes":
            from panoptic3d.rooms.analytic.boxes import random_room
            from panoptic3d.rooms.analytic.from_boxes import scene_from_boxes

            return scene_from_boxes(random_room(seed), seed)


def make_room_samples(out: Path, job: RoomJob, config: GenerationConfig) -> list[dict[str, Any]]:
    """Write the room's samples below `out`; a record of each, as the journal and the manifest keep it."""
    watch = Stopwatch(time.process_time)
    scene = make_scene(job.seed, config)
    views = scene.views[: job.num_views]
    if len(views) < job.num_views:
        raise Panoptic3dError(f"room {job.seed} has {len(views)} views and not {job.num_views}; please report it.")
    watch.lap("layout")
    soup = soup_of(scene)
    caster = Caster(soup)
    watch.lap("mesh")
    painter = _painter(scene, soup, caster, config)
    watch.lap("light")
    (out / job.scene).mkdir(parents=True, exist_ok=True)
    if config.extra_truth:
        write_bytes_atomically(out / job.scene / "room.json", _room_json(scene))
    records = []
    seen = [pixel_truth(soup, caster, view) for view in views]
    transients = TransientDraw.of(scene, len(views), config.transients).placed(scene, seen) if config.transients else {}
    watch.lap("rays")
    for number, (key, view) in enumerate(zip(job.keys, views, strict=True)):
        film = _film(job.seed, number, config)
        transient = transients.get(number)
        shot = (
            _Shot(painter, seen[number], film)
            if transient is None
            else _shot_with(scene, view, transient, config, film)
        )
        image = shot.jpeg(view, number)
        watch.lap("picture")
        mask = _mask_of(transient, view) if config.transients else None
        records.append(_make_sample(out, key, view, soup, seen[number], image, mask, config, watch))
        watch = Stopwatch(time.process_time)
    return records


@dataclass(frozen=True, eq=False)
class _Shot:
    """What one photo is taken of."""

    painter: Any
    pixels: PixelTruth
    film: Film | None

    def jpeg(self, view: View, number: int) -> bytes:
        return _jpeg(self.painter.photo(view, self.pixels.hits, number, self.film))


def _shot_with(
    scene: RoomScene, view: View, transient: Transient, config: GenerationConfig, film: Film | None
) -> _Shot:
    there, soup, caster = with_transient(scene, transient)
    return _Shot(_painter(there, soup, caster, config), pixel_truth(soup, caster, view), film)


def _mask_of(transient: Transient | None, view: View) -> np.ndarray:
    return np.zeros((view.camera.height, view.camera.width), np.bool_) if transient is None else transient.mask


def _make_sample(
    out: Path,
    key: str,
    view: View,
    soup: TriangleSoup,
    pixels: PixelTruth,
    jpeg: bytes,
    transient: np.ndarray | None,
    config: GenerationConfig,
    watch: Stopwatch,
) -> dict[str, Any]:
    image = np.asarray(Image.open(io.BytesIO(jpeg)))
    grid = grid_of(view.camera)
    truth = frustum_truth(soup, view, grid, pixels)
    watch.lap("volume")
    sample = sample_of_view(key, view, grid, pixels, truth, image)
    watch.lap("sample")
    paths = _write(out, sample, jpeg, config)
    watch.lap("write")
    if config.extra_truth:
        path = out / sample.scene / f"extra_{sample.frame}.npz"
        write_bytes_atomically(path, extra_truth_bytes(soup, view, pixels, transient))
        paths.append(path)
        watch.lap("extra truth")
    hashes = {path.relative_to(out).as_posix(): sha256_of_file(path) for path in paths}
    facts = facts_of(sample)
    watch.lap("facts")
    return {"key": key, "files": hashes, "facts": facts, "cpu_s": watch.seconds}


def grid_of(camera: Camera) -> VoxelGrid:
    """The released one of the released camera; another camera has the grid that the release would have given it."""
    return _grid_of(camera) if camera != FRONT3D_CAMERA else FRONT3D_GRID


@lru_cache(maxsize=2)
def _grid_of(camera: Camera) -> VoxelGrid:
    return released_grid(camera.intrinsics, (camera.width, camera.height))


def has_own_mask(config: GenerationConfig) -> bool:
    """Whether each sample has a camera, and so a frustum, of its own."""
    return config.rooms == "furnished" and config.layout.camera != "release"


def _film(seed: int, number: int, config: GenerationConfig) -> Film | None:
    """None: the painter draws it."""
    is_wide = config.rooms == "furnished" and config.layout.variety == "wide"
    return Film.wide(numpy_generator(seed, "film", number)) if is_wide else None


def _painter(scene: RoomScene, soup: TriangleSoup, caster: Caster, config: GenerationConfig) -> Any:
    """Something with `photo(view, hits, number, film)`."""
    match config.renderer:
        case "fast":
            return LitRoom(scene, soup, caster)
        case "photo":
            from panoptic3d.rooms.render.photo import TracedRoom

            return TracedRoom(scene, soup, caster, config.photo_samples)


def _write(out: Path, sample: Sample, jpeg: bytes, config: GenerationConfig) -> list[Path]:
    match config.format:
        case "packed":
            path = out / sample.scene / f"{sample.frame}{PACKED_SUFFIX}"
            data = encode_sample(
                sample,
                depth_steps_per_m=DEPTH_STEPS_PER_M["front3d"],
                has_own_mask=has_own_mask(config),
                jpeg=jpeg,
                level=_LEVEL,
            )
            write_bytes_atomically(path, data)
            return [path]
        case "front3d":
            if sample.camera != FRONT3D_CAMERA:
                raise InputError("the 3D-Front layout knows one camera only; use --camera released or --format packed.")
            return write_front3d_sample(out, sample).existing()


def _jpeg(image: np.ndarray) -> bytes:
    """JPEG, as cameras store it. All data formats then hold the same decoded pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _room_json(scene: RoomScene) -> bytes:
    import json

    facts = {
        "seed": scene.seed,
        "room_type": scene.room_type,
        "plan_m": scene.plan_m.tolist(),
        "facts": scene.facts,
        "parts": [
            {
                "name": part.name,
                "role": part.role,
                "class": part.class_id,
                "instance": part.instance_id,
                "is_thing": part.is_thing,
                "support": part.support,
                "stands_on": part.stands_on,
                "world_from_part": part.world_from_part.tolist(),
            }
            for part in scene.parts
        ],
    }
    return (json.dumps(facts, separators=(",", ":")) + "\n").encode()


def digest(record: dict[str, Any]) -> str:
    """One number for all files of a sample."""
    text = "".join(f"{name.rpartition('/')[2]} {value}\n" for name, value in sorted(record["files"].items()))
    return sha256(text.encode()).hexdigest()
