"""Scenes on disk in the browser, from this machine to this machine only.

A scene may come from a stranger, and its page is a program. It gets no file but those that scenes have, none through a link,
and `_POLICY` lets it read nothing but itself: no other scene, and nothing of the net.
"""

import io
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from panoptic3d.errors import InputError
from panoptic3d.files import open_regular
from panoptic3d.structures.scene_files import PAGE, SCENE_FILES
from panoptic3d.viewer.gallery import find_scenes, gallery_page

HOST = "127.0.0.1"
MAX_CONNECTIONS = 512
_REQUEST_S = 5.0  # longest time for a request to arrive
_PIECE_S = 20.0  # longest time for a client to take a piece of an answer
_PIECE_BYTES = 1 << 16
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
}
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-downloads"
)
_GALLERY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Served:
    """What the server serves: the gallery at the root, and scenes by their address."""

    folder: Path
    gallery: bytes | None
    scenes: Mapping[bytes, Path]  # address, such as b"/house/kitchen/" -> path below the folder

    def open(self, address: bytes) -> tuple[BinaryIO, str] | None:
        """A file of a scene with its name; None for everything else, links and what lies elsewhere among it."""
        scene, _, name = address.rpartition(b"/")
        file = os.fsdecode(name) or PAGE
        below = self.scenes.get(scene + b"/")
        if below is None or file not in SCENE_FILES:
            return None
        try:
            return _open_below(self.folder, below, file), file
        except OSError:
            return None


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server that answers for the files of the scenes and for nothing else. Port 0 is any free one."""
    scenes = find_scenes(folder)
    if scenes == [folder]:
        served = Served(folder, None, {b"/": Path()})
    else:
        names = [scene.relative_to(folder).as_posix() for scene in scenes]
        gallery = gallery_page(folder.resolve().name, names, folder).encode()
        served = Served(folder, gallery, {b"/%s/" % os.fsencode(name): Path(name) for name in names})
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} does not exist; give one from 1 to 65535, or 0 for any free one.")
    try:
        return _Server((HOST, port), _handler(served))
    except OSError as error:
        raise InputError(f"port {port} cannot be had ({error.strerror}); give another one, or none.") from error


class _Server(ThreadingHTTPServer):
    """A bounded number of connections, each with a bounded time to say what it wants."""

    daemon_threads = True
    request_queue_size = 1024  # a full queue costs a browser the second after which TCP asks again

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request, client_address) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request, client_address) -> None:
        """Ignore browsers that disconnect while a page loads."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"panoptic3d: an answer failed: {type(error).__name__}: {error}", file=sys.stderr)


class _ImpatientReader(io.RawIOBase):
    """The bytes of a connection until its time is over, however slowly they come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._deadline_s = connection, time.monotonic() + _REQUEST_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        self._connection.settimeout(max(self._deadline_s - time.monotonic(), 0.001))
        return self._connection.recv_into(buffer)


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "panoptic3d", ""

        def setup(self) -> None:
            super().setup()
            self.rfile = io.BufferedReader(_ImpatientReader(self.connection))

        def do_GET(self) -> None:  # the name that http.server calls
            self.connection.settimeout(_PIECE_S)
            hosts = self.headers.get_all("Host") or []
            if hosts not in (
                [self._own(HOST)],
                [self._own("localhost")],
            ):  # another site's name that was made to point here
                self.send_error(403, "this server answers to localhost only")
                return
            address = _address(self.path)
            if address == b"/" and served.gallery is not None:
                self._start(len(served.gallery), ".html", _GALLERY_POLICY)
                self.wfile.write(served.gallery)
            elif address is None or (found := served.open(address)) is None:
                self.send_error(404, "no such file of a scene")
            else:
                with found[0] as file:
                    self._send_file(file, Path(found[1]).suffix)

        def _own(self, name: str) -> str:
            return f"{name}:{self.connection.getsockname()[1]}"

        def _send_file(self, file: BinaryIO, suffix: str) -> None:
            """In pieces, and no more than was there at the start: a file may be larger than the memory, or grow."""
            left = os.fstat(file.fileno()).st_size
            self._start(left, suffix, _POLICY)
            while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
                self.wfile.write(piece)
                left -= len(piece)

        def _start(self, length: int, suffix: str, policy: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", _TYPES.get(suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()

        def end_headers(self) -> None:
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Silent: whoever looks at a scene does not want to read of it."""

    return Handler


def _address(path: str) -> bytes | None:
    try:
        return unquote_to_bytes(urlsplit(path).path)
    except ValueError:  # such as http://[
        return None


def _open_below(folder: Path, below: Path, name: str) -> BinaryIO:
    """No part of the way below the folder may be a link at the moment of opening."""
    if os.open not in os.supports_dir_fd:  # Windows, where links need rights that strangers' archives do not have
        path = folder / below / name
        if path.resolve() != folder.resolve() / below / name:
            raise OSError(f"{path} leads elsewhere")
        return open_regular(path)
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in below.parts:
            there = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = there
        return open_regular(name, folder=here)
    finally:
        os.close(here)
