"""Requests of an attacker, or of bad luck, to the servers: what is sent, and the answers that are right."""

import contextlib
import io
import socket
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.predictor.hostile import picture


@dataclass(frozen=True)
class Asked:
    """`data` as it goes over the line, with `{host}` for the server's own name; `right` are the statuses that may come, ""
    where the server hangs up.
    """

    name: str
    data: bytes
    right: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def answer(host: str, data: bytes, limit_s: float = 20.0) -> bytes:
    """All that the server says until it hangs up."""
    name, _, port = host.rpartition(":")
    with socket.create_connection((name, int(port)), timeout=limit_s) as connection:
        said = b""
        with contextlib.suppress(ConnectionError):  # it may hang up while more is sent
            connection.sendall(data.replace(b"{host}", host.encode()))
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                said += piece
        return said


def status_of(said: bytes) -> str:
    return said.split(b" ", 2)[1].decode() if said.startswith(b"HTTP/") else ""


def request(
    method: str, path: str, body: bytes = b"", *lines: str, host: str = "{host}", length: int | None = None
) -> bytes:
    head = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), "Connection: close", *lines]
    if (body or length is not None) and not any(line.lower().startswith("transfer-encoding") for line in lines):
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def form(
    data: bytes = b"x", name: str | None = "a.png", field: str = "photo", more: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The body of an upload, whose lines are parted by `--x`."""
    of_file = "" if name is None else f'; filename="{name}"'
    parts = [
        f'Content-Disposition: form-data; name="{field}"{of_file}\r\n\r\n'.encode("utf-8", "surrogateescape") + data
    ]
    parts += [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in more]
    return b"--x\r\n" + b"\r\n--x\r\n".join(parts) + b"\r\n--x--\r\n"


def posted(path: str, body: bytes, *lines: str, **options: object) -> bytes:
    return request("POST", path, body, "Content-Type: multipart/form-data; boundary=x", *lines, **options)  # pyright: ignore[reportArgumentType]


def photo(kind: str = "PNG", width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    picture(width, height).save(file, kind)
    return file.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A PNG that says it has so many pixels a side, in a few kilobytes."""
    data = bytearray(photo())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def npy(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def paths(prefix: str) -> list[str]:
    """Ways out of the folder below `prefix`."""
    ways = [f"{prefix}{'../' * n}etc/passwd" for n in range(1, 12)]
    ways += [f"{prefix}{'..%2f' * n}etc%2fpasswd" for n in range(1, 8)]
    ways += [f"{prefix}{'%2e%2e/' * n}etc/passwd" for n in range(1, 8)]
    ways += [
        f"{prefix}{name}"
        for name in (
            "scene.json%00",
            "scene.json%00.png",
            "%00",
            ".",
            "..",
            "//",
            "..\\..\\etc",
            "%5c..%5c",
            "SCENE.JSON",
            "*",
            "?",
            "scene.json/",
            "scene.json/..",
            ".lock",
            "photo",
            "a" * 3000,
            "%",
            "%zz",
            "%ff",
            "~root",
            "..;/",
            "%c0%ae%c0%ae/",
        )
    ]
    return ways


GONE = ("400", "404", "405")
_LINES: tuple[tuple[str, bytes], ...] = (
    ("nonsense", b"nonsense\r\n\r\n"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n"),
    ("zeros", bytes(5000) + b"\r\n\r\n"),
    ("a long line", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a long header", b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"),
    ("1,000 headers", b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
    ("http/9", b"GET / HTTP/9.9\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    ("two lengths", b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    ("a length that is none", b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nContent-Length: x\r\n\r\n"),
    ("a negative length", b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5\r\n\r\n"),
    ("chunks of nonsense", b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    (
        "an endless chunk",
        b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    ),
    (
        "length and chunks",
        b"POST /api/scenes HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: {host}\r\n folded\r\n\r\n"),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n"),
    ("no method", b" / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a line break in the path", b"GET /\nX: y HTTP/1.1\r\nHost: {host}\r\n\r\n"),
)
_HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1:1",
    "",
    "a" * 5000,
    "{host}.evil.example",
    "{host}@evil",
    "[::1",
    "127.0.0.1:99999999999999999999",
    "127.0.0.1:",
    ":",
    "\xff",
)

TO_BOTH = [
    *(
        Asked(f"line: {name}", data, ("", "200", "400", "403", "404", "413", "414", "422", "431", "501", "505"))
        for name, data in _LINES
    ),
    *(Asked(f"host: {host[:30]!r}", request("GET", "/", host=host), ("400", "403")) for host in _HOSTS),
    Asked("host twice", request("GET", "/", b"", "Host: evil.example"), ("400", "403")),
    *(
        Asked(f"method {m}", request(m, "/"), ("403", "405", "501", "400"))
        for m in ("PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get")
    ),
    Asked("connect", request("CONNECT", "evil.example:443"), ("400", "403", "404", "405", "501")),
    Asked("another server's address", request("GET", "http://evil.example/etc/passwd"), ("400", "403", "404")),
    Asked("no address", request("GET", "http://["), ("400", "404")),
    Asked("an asterisk", request("GET", "*"), ("400", "404")),
    *(Asked(f"way out {path[:60]}", request("GET", path), GONE) for path in paths("/x/")),
]
