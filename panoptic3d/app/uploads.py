"""The routes that take a photo: ask for its camera, or queue it."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, no_type_check

from fastapi import FastAPI, File, Form, UploadFile
from PIL import Image
from starlette.datastructures import UploadFile as PlainUploadFile

from panoptic3d.app.jobs import Jobs, Order
from panoptic3d.data.depth_files import DEPTH_ENDINGS
from panoptic3d.data.given_depths import load_depth
from panoptic3d.errors import InputError, printable
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.predictor.cameras import CameraChoice, GivenCamera, choose_camera
from panoptic3d.predictor.photos import FORMATS, load_photo
from panoptic3d.predictor.predictor import PhotoHint
from panoptic3d.structures.given_depth import KnownLength


def add_uploads(app: FastAPI, jobs: Jobs) -> None:
    """Add the routes that take photos. Photos are decoded one at a time, which bounds the memory."""
    checking = threading.Lock()
    _add_camera(app, jobs, checking)
    _add_queueing(app, jobs, checking)


def _add_camera(app: FastAPI, jobs: Jobs, checking: threading.Lock) -> None:
    @app.post("/api/camera", summary="The field of view that a photo's EXIF says, or that is assumed")
    @no_type_check  # FastAPI hands over starlette's own UploadFile
    def camera(photo: Annotated[UploadFile, File()]) -> dict[str, Any]:
        with _upload_folder(jobs) as (job_id, folder):
            with checking:
                choice = _checked_photo(_kept(photo, folder / "photo"), GivenCamera(), jobs.limits.max_pixels)
            jobs.discard(job_id)
        return {"fov_deg": round(choice.camera.horizontal_fov_deg, 2), "source": choice.source}


def _add_queueing(app: FastAPI, jobs: Jobs, checking: threading.Lock) -> None:
    @app.post("/api/scenes", status_code=202, summary="Queue a photo")
    @no_type_check
    def add_scene(
        photo: Annotated[UploadFile, File(description="any photo that `panoptic3d predict` takes")],
        fov_deg: Annotated[float | None, Form(description="horizontal; else EXIF, else 60 degrees")] = None,
        checkpoint: Annotated[str | None, Form(description="a shipped name")] = None,
        depth: Annotated[UploadFile | None, File(description="metric, of the photo's frame")] = None,
        camera_height_m: Annotated[float | None, Form(description="above the floor: the scale of the scene")] = None,
        known_length: Annotated[
            str | None, Form(description="X1,Y1,X2,Y2,METRES in pixels of the photo: likewise")
        ] = None,
    ) -> dict[str, str]:
        given = GivenCamera(fov_deg=fov_deg)
        length = None if known_length is None else KnownLength.parse(known_length, "known_length")
        PhotoHint(camera_height_m=camera_height_m, known_length=length)  # nonsense is refused before anything is kept
        _check_is_shipped(checkpoint)
        with _upload_folder(jobs) as (job_id, folder):
            with checking:
                photo_path = _kept(photo, folder / "photo")
                _checked_photo(photo_path, given, jobs.limits.max_pixels)
                depth_path = None if depth is None else _checked_depth(depth, folder)
            name = printable(Path(photo.filename or "photo").name)[:80]
            job = jobs.add(job_id, Order(photo_path, name, fov_deg, checkpoint, depth_path, camera_height_m, length))
        return {"id": job.id, "state": job.state}


@contextlib.contextmanager
def _upload_folder(jobs: Jobs) -> Iterator[tuple[str, Path]]:
    """A folder for one upload. It is deleted on any error, and a sentence about a file does not show its path."""
    job_id, folder = jobs.new_folder()
    try:
        yield job_id, folder
    except BaseException as error:
        jobs.discard(job_id)
        if isinstance(error, InputError):
            raise _without_folder(error, folder) from None
        raise


def _check_is_shipped(checkpoint: str | None) -> None:
    if checkpoint is not None and checkpoint not in shipped_checkpoints():
        names = ", ".join(shipped_checkpoints()) or "none"
        raise InputError(f"the checkpoint {checkpoint[:100]!r} is not shipped; there are: {names}.")


def _kept(upload: PlainUploadFile, path: Path) -> Path:
    """Store the upload under a fixed name in its own folder, whatever its file name is."""
    path.write_bytes(upload.file.read())
    return path


def _checked_photo(path: Path, given: GivenCamera, max_pixels: int) -> CameraChoice:
    """Check a photo as the command line does, and choose its camera. The size is checked before the photo is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files are not the server's
            with Image.open(path, formats=FORMATS) as opened:  # a stranger's file meets no other decoder
                _check_pixels(opened.size, max_pixels)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # the reader below gives the better message
        pass
    photo = load_photo(path)
    _check_pixels(photo.full_size, max_pixels)  # HEIC tells its size to its own reader alone
    return choose_camera(photo, given)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"the photo has {width}x{height} pixels; at most {max_pixels:,} are taken here, shrink it first."
        )


def _checked_depth(upload: PlainUploadFile, folder: Path) -> Path:
    ending = Path(upload.filename or "").suffix.lower()
    if ending not in DEPTH_ENDINGS:
        raise InputError(f"a depth file ends in {', '.join(DEPTH_ENDINGS)}, not in {ending[:20] or 'nothing'!r}.")
    path = _kept(upload, folder / f"depth{ending}")
    load_depth(path)
    return path


def _without_folder(error: InputError, folder: Path) -> InputError:
    """The sentence of the command line, without the path on this machine."""
    text = str(error).replace(str(folder / "photo"), "the photo").replace(str(folder) + "/", "the ")
    return InputError(text)
