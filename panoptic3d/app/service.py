"""The routes: the page, and scenes by HTTP."""

import html
import threading
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, no_type_check

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from PIL import Image
from starlette.datastructures import UploadFile as PlainUploadFile
from starlette.exceptions import HTTPException

from panoptic3d.app.jobs import Job, Jobs, Order, TooManyError
from panoptic3d.data.depth_files import DEPTH_ENDINGS
from panoptic3d.data.given_depths import load_depth
from panoptic3d.errors import InputError, printable
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.packaged import photos_folder
from panoptic3d.predictor.cameras import CameraChoice, GivenCamera, choose_camera
from panoptic3d.predictor.photos import FORMATS, load_photo
from panoptic3d.version import __version__

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCENE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-scripts allow-downloads"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
}
_ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


def make_app(jobs: Jobs) -> FastAPI:
    """The application without its guard."""
    app = FastAPI(
        title="panoptic3d",
        version=__version__,
        description="Photos of rooms in, scenes in 3D out. One photo at a time goes through the network.",
        docs_url=None,  # FastAPI's own page loads its script from another site
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    checking = threading.Lock()  # one upload is unpacked at a time, which bounds the memory

    @app.exception_handler(InputError)
    async def refuse(request: Request, error: InputError) -> JSONResponse:
        return _error(422, " ".join(str(error).split()))

    @app.exception_handler(TooManyError)
    async def too_many(request: Request, error: TooManyError) -> JSONResponse:
        return _error(429, str(error), {"Retry-After": "10"})

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _error(422, f"{'.'.join(map(str, first['loc'][1:])) or 'the request'}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, f"{error.detail}.")

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(_asset("page.html"), headers={"Content-Security-Policy": _PAGE_POLICY})

    @app.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404, "no such file")
        return Response(_asset(name), headers={"Content-Type": _ASSETS[name]})

    @app.get("/api/examples/{name}", include_in_schema=False)
    def example(name: str) -> FileResponse:
        if name not in _examples():
            raise HTTPException(404, "no such photo")
        return FileResponse(photos_folder() / name, media_type="image/jpeg")

    @app.get("/api/about", summary="Checkpoints that may be asked for, example photos, and the limits of this server")
    def about() -> dict[str, Any]:
        limits = jobs.limits
        return {
            "version": __version__,
            "checkpoints": list(shipped_checkpoints()),
            "examples": _examples(),
            "max_upload_bytes": limits.max_upload_bytes,
            "keep_hours": limits.keep_s / 3600,
        }

    @app.post("/api/camera", summary="The field of view that a photo's EXIF says, or that is assumed")
    @no_type_check  # what comes is starlette's own UploadFile
    def camera(photo: Annotated[UploadFile, File()]) -> dict[str, Any]:
        job_id, folder = jobs.new_folder()
        try:
            with checking:
                choice = _checked_photo(_kept(photo, folder / "photo"), GivenCamera(), jobs.limits.max_pixels)
        except InputError as error:
            raise _without_folder(error, folder) from None
        finally:
            jobs.discard(job_id)
        return {"fov_deg": round(choice.camera.horizontal_fov_deg, 2), "source": choice.source}

    @app.post("/api/scenes", status_code=202, summary="Queue a photo")
    @no_type_check
    def add_scene(
        photo: Annotated[UploadFile, File(description="any photo that `panoptic3d predict` takes")],
        fov_deg: Annotated[float | None, Form(description="horizontal; else EXIF, else 60 degrees")] = None,
        checkpoint: Annotated[str | None, Form(description="a shipped name")] = None,
        depth: Annotated[UploadFile | None, File(description="metric, of the photo's frame")] = None,
    ) -> dict[str, str]:
        given = GivenCamera(fov_deg=fov_deg)
        if checkpoint is not None and checkpoint not in shipped_checkpoints():
            names = ", ".join(shipped_checkpoints()) or "none"
            raise InputError(f"the checkpoint {checkpoint[:100]!r} is not shipped; there are: {names}.")
        job_id, folder = jobs.new_folder()
        try:
            with checking:
                photo_path = _kept(photo, folder / "photo")
                _checked_photo(photo_path, given, jobs.limits.max_pixels)
                depth_path = None if depth is None else _checked_depth(depth, folder)
            name = printable(Path(photo.filename or "photo").name)[:80]
            job = jobs.add(job_id, Order(photo_path, name, fov_deg, checkpoint, depth_path))
        except BaseException as error:
            jobs.discard(job_id)
            if isinstance(error, InputError):
                raise _without_folder(error, folder) from None
            raise
        return {"id": job.id, "state": job.state}

    @app.get("/api/scenes", summary="The scenes of this server, the newest first")
    def list_scenes() -> list[dict[str, Any]]:
        return [_told(job, jobs) for job in jobs.all()]

    @app.get("/api/scenes/{scene_id}", summary="How far a photo is")
    def get_scene(scene_id: str) -> dict[str, Any]:
        if (job := jobs.get(scene_id)) is None:
            raise HTTPException(404, "there is no such scene; it may have been deleted")
        return _told(job, jobs)

    @app.get("/api/scenes/{scene_id}/{name}", summary="A file of a scene that is done")
    def get_file(scene_id: str, name: str) -> FileResponse:
        if (path := jobs.file(scene_id, name)) is None:
            raise HTTPException(404, "there is no such file of a scene")
        headers = {"Content-Security-Policy": _SCENE_POLICY}
        return FileResponse(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"), headers=headers)

    @app.delete("/api/scenes/{scene_id}", status_code=204, summary="Delete a scene and its photo")
    def delete_scene(scene_id: str) -> Response:
        if not jobs.delete(scene_id):
            raise HTTPException(404, "there is no such scene; it may have been deleted")
        return Response(status_code=204)

    @app.get("/api/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi()), headers={"Content-Security-Policy": _PAGE_POLICY})

    return app


def _told(job: Job, jobs: Jobs) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "progress": round(job.progress, 3),
        "error": job.error,
        "files": jobs.files(job),
        "name": job.order.name,
    }


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)


def _kept(upload: PlainUploadFile, path: Path) -> Path:
    """The upload under a name of ours: whatever it was called, it lies in its own folder."""
    path.write_bytes(upload.file.read())
    return path


def _checked_photo(path: Path, given: GivenCamera, max_pixels: int) -> CameraChoice:
    """What the command line would say of the photo and of its camera. Its size is looked at before it is unpacked."""
    try:
        with Image.open(path, formats=FORMATS) as opened:  # a stranger's file meets no other decoder
            _check_pixels(opened.size, max_pixels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # said better by the reader below
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


def _examples() -> list[str]:
    return sorted(path.name for path in photos_folder().glob("*.jpg"))


def _asset(name: str) -> str:
    return (files("panoptic3d.app") / "assets" / name).read_text(encoding="utf-8")


def _docs(schema: dict[str, Any]) -> str:
    """The API on one page that needs no other site; /api/openapi.json has it for machines."""
    rows = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            codes = ", ".join(operation["responses"])
            cells = (
                f"<code>{method.upper()} {html.escape(path)}</code>",
                html.escape(operation.get("summary", "")),
                codes,
            )
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return _asset("docs.html").replace("{{rows}}", "\n".join(rows))
