"""The application: the page to drop photos on, and the routes of the API."""

import html
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

from panoptic3d.app.answers import add_error_answers
from panoptic3d.app.jobs import Jobs
from panoptic3d.app.scenes import add_scenes, example_photos
from panoptic3d.app.uploads import add_uploads
from panoptic3d.packaged import photos_folder
from panoptic3d.version import __version__

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
_ASSETS["scale.js"] = _ASSETS["page.js"]


def make_app(jobs: Jobs) -> FastAPI:
    """The application without its guard."""
    app = FastAPI(
        title="panoptic3d",
        version=__version__,
        description="Photos of rooms in, scenes in 3D out. One photo at a time goes through the network.",
        docs_url=None,  # FastAPI's own page loads its script from another site
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    add_error_answers(app)
    _add_pages(app)
    add_uploads(app, jobs)
    add_scenes(app, jobs)
    return app


def _add_pages(app: FastAPI) -> None:
    """The page, its assets, the example photos, and the API's own page."""

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
        if name not in example_photos():
            raise HTTPException(404, "no such photo")
        return FileResponse(photos_folder() / name, media_type="image/jpeg")

    @app.get("/api/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi()), headers={"Content-Security-Policy": _PAGE_POLICY})


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
