"""Poses of photos that come without: structure from motion by pycolmap (`--poses colmap`, extra `poses`)."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from panoptic3d.errors import InputError
from panoptic3d.optional import require
from panoptic3d.predictor.cameras import GivenCamera, choose_camera
from panoptic3d.predictor.photos import Photo
from panoptic3d.predictor.poses.colmap_text import read_colmap_text
from panoptic3d.predictor.poses.posed_photos import PosedPhoto, PoseFile, listed
from panoptic3d.structures.camera import Camera

_MODEL = "SIMPLE_PINHOLE"  # distortion is not modelled here either
_SEED = 0
_ERRORS_ONLY = 2  # of glog


def photos_placed_by_colmap(photos: Sequence[tuple[str, Photo]], given: GivenCamera) -> PoseFile:
    """Poses of the largest group of photos that COLMAP can connect, in units of its own; a note names the others.

    The focal length starts from what is known of each photo and is refined, unless the call gave it.
    """
    if len(photos) < 2:
        raise InputError("--poses colmap needs at least two photos; give more, or a file of poses.")
    colmap = require("pycolmap", "--poses colmap")
    cameras = [choose_camera(photo, given).camera for _, photo in photos]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (_, photo) in enumerate(photos):
            Image.fromarray(photo.image.permute(1, 2, 0).contiguous().numpy()).save(folder / _file(number))
        model = _largest_model(colmap, folder, cameras, refines_focal=given == GivenCamera())
        placed = {} if model is None else {pose.name: pose for pose in _as_read(model, folder)}
    found = [replace(placed[_file(n)], name=name) for n, (name, _) in enumerate(photos) if _file(n) in placed]
    missing = [name for n, (name, _) in enumerate(photos) if _file(n) not in placed]
    if len(found) < 2:
        raise InputError(
            f"COLMAP cannot place the {len(photos)} photos against each other; take them with more overlap and from places "
            "some steps apart, or give a file of poses."
        )
    note = f"COLMAP cannot place {len(missing)} of {len(photos)} photos, which are left out: {listed(missing)}"
    return PoseFile(tuple(found), (note,) if missing else ())


def _largest_model(colmap: ModuleType, folder: Path, cameras: Sequence[Camera], refines_focal: bool) -> Any:
    """A pycolmap.Reconstruction; None where no two photos could be connected."""
    colmap.logging.minloglevel = _ERRORS_ONLY
    colmap.set_random_seed(_SEED)
    database = folder / "database.db"
    for camera in dict.fromkeys(cameras):  # photos of one lens share what is refined of it
        names = [_file(n) for n, own in enumerate(cameras) if own == camera]
        options = colmap.ImageReaderOptions()
        options.camera_model = _MODEL
        options.camera_params = f"{camera.fx_px},{camera.cx_px + 0.5},{camera.cy_px + 0.5}"
        mode = colmap.CameraMode.SINGLE
        colmap.extract_features(database, folder, image_names=names, camera_mode=mode, reader_options=options)
    colmap.match_exhaustive(database)
    options = colmap.IncrementalPipelineOptions()
    options.random_seed = _SEED
    options.min_model_size = 2
    options.ba_refine_focal_length = refines_focal
    models = colmap.incremental_mapping(database, folder, folder, options)
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _as_read(model: Any, folder: Path) -> Iterable[PosedPhoto]:
    """By way of the text format, for which there is a reader."""
    text = folder / "text"
    text.mkdir()
    model.write_text(str(text))
    return read_colmap_text(text).photos


def _file(number: int) -> str:
    return f"{number:04d}.png"
