"""The routes that tell of scenes, hand out their files, and delete them."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from panoptic3d.app.jobs import Job, Jobs
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.packaged import photos_folder
from panoptic3d.version import __version__

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


def add_scenes(app: FastAPI, jobs: Jobs) -> None:
    """`/api/about` and `/api/scenes` but for the upload."""

    @app.get("/api/about", summary="Checkpoints that may be asked for, example photos, and the limits of this server")
    def about() -> dict[str, Any]:
        limits = jobs.limits
        return {
            "version": __version__,
            "checkpoints": list(shipped_checkpoints()),
            "examples": example_photos(),
            "max_upload_bytes": limits.max_upload_bytes,
            "keep_hours": limits.keep_s / 3600,
        }

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


def _told(job: Job, jobs: Jobs) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "progress": round(job.progress, 3),
        "error": job.error,
        "files": jobs.files(job),
        "name": job.order.name,
    }


def example_photos() -> list[str]:
    """File names of the bundled photos."""
    return sorted(path.name for path in photos_folder().glob("*.jpg"))
