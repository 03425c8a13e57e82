"""Scenes on disk in the browser, from this machine to this machine only."""

import html
import os
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from panoptic3d.errors import InputError

HOST = "127.0.0.1"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
}
_PAGE, _PICTURE = "index.html", "preview.png"


def find_scenes(folder: Path) -> list[Path]:
    """The folder itself, if it is a scene, or the scenes in it, however deep."""
    if not folder.exists():
        raise InputError(f"{folder} is not there; give the folder of a predicted scene, or one that holds several.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of a predicted scene, or one that holds several.")
    if (folder / _PAGE).is_file() and (folder / "scene.json").is_file():
        return [folder]
    scenes = sorted(_scenes_below(folder))
    if not scenes:
        raise InputError(f"{folder} holds no scene (a folder with {_PAGE}); `panoptic3d predict` writes them.")
    return scenes


def _scenes_below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); check its permissions.") from error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if _PAGE in files and Path(where) != folder:
            folders.clear()
            yield Path(where)


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server that answers for the files of the scenes and for nothing else. Port 0 is any free one."""
    scenes = find_scenes(folder)
    if scenes == [folder]:
        routes: dict[str, Path | bytes] = {"/": folder / _PAGE, **_routes(folder, "")}
    else:
        names = [scene.relative_to(folder).as_posix() for scene in scenes]
        routes = {"/": gallery_page(folder.resolve().name, names).encode()}
        for scene, name in zip(scenes, names, strict=True):
            routes |= {f"/{name}/": scene / _PAGE, **_routes(scene, f"/{name}")}
    try:
        return ThreadingHTTPServer((HOST, port), _handler(routes))
    except OSError as error:
        raise InputError(f"port {port} cannot be had ({error.strerror}); give another one, or none.") from error


def gallery_page(title: str, names: list[str]) -> str:
    cards = "\n".join(
        f'<a href="/{quote(name)}/"><img loading="lazy" alt="" src="/{quote(name)}/{_PICTURE}">{html.escape(name)}</a>'
        for name in names
    )
    return _GALLERY.replace("{{cards}}", cards).replace("{{title}}", html.escape(title))


def _routes(scene: Path, prefix: str) -> dict[str, Path | bytes]:
    return {f"{prefix}/{file.name}": file for file in scene.iterdir() if file.is_file()}


def _handler(routes: Mapping[str, Path | bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            found = routes.get(unquote(urlsplit(self.path).path))
            if host not in (HOST, "localhost"):  # another site's name that was made to point here
                self.send_error(403, "this server answers to localhost only")
            elif found is None:
                self.send_error(404, "no such file of a scene")
            else:
                self._send(found)

        def _send(self, found: Path | bytes) -> None:
            try:
                data = found if isinstance(found, bytes) else found.read_bytes()
            except OSError as error:
                self.send_error(404, f"the file is gone ({error.strerror})")
                return
            suffix = ".html" if isinstance(found, bytes) else found.suffix
            self.send_response(200)
            self.send_header("Content-Type", _TYPES.get(suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silent: whoever looks at a scene does not want to read of it."""

    return Handler


_GALLERY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{title}}</title>
<style>
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 20px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 16px; }
a { color: inherit; text-decoration: none; overflow-wrap: anywhere; border: 1px solid #8885; border-radius: 8px;
  padding: 8px; }
img { width: 100%; aspect-ratio: 16/9; object-fit: cover; object-position: top left; display: block; border-radius: 5px; }
</style></head><body><h1>{{title}}</h1><main>
{{cards}}
</main></body></html>
"""
