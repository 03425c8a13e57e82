"""200 hostile requests at once: the server stays within its bounds and answers afterwards. Numbers are in docs/app.md."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.predictor.hostile import picture

httpx = pytest.importorskip("httpx")
psutil = pytest.importorskip("psutil")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

_MOST_MIB = 1200  # of the server's own process: torch, a photo of 50 megapixels unpacked, uploads


def _bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in a few kilobytes."""
    file = io.BytesIO()
    picture(64, 48).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def _form(data: bytes, name: str = "a.png") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode()
    return head + data + b"\r\n--x--\r\n"


def _request(method: str, path: str, host: str, body: bytes = b"", length: int | None = None, more: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    if body or length is not None:
        lines += [f"Content-Length: {len(body) if length is None else length}"]
        lines += ["Content-Type: multipart/form-data; boundary=x"]
    return "\r\n".join(lines).encode() + more.encode() + b"\r\n\r\n" + body


def _hostile(host: str) -> list[bytes]:
    post = ("POST", "/api/scenes", host)
    return [
        _request(*post, _form(os.urandom(200_000))),
        _request(*post, _form(_bomb())),
        _request(*post, _form(b"")),
        _request(*post, b"no form at all"),
        _request(*post, _form(b"x", "../" * 200 + "etc/passwd")),
        _request(*post, _form(b"x"), length=10**12),
        _request(*post, _form(b"x"), length=50_000_000),  # and never sends them
        _request(*post, _form(picture_bytes()), more="\r\nOrigin: http://evil.example"),
        _request("GET", "/", "evil.example"),
        _request("GET", "/api/scenes/../../../../etc/passwd", host),
        _request("GET", "/api/scenes/%2e%2e%2f%2e%2e%2f/photo", host),
        _request("GET", "/api/scenes/" + "a" * 60_000, host),
        _request("DELETE", "/api/scenes/" + "0" * 32, host),
        _request("PUT", "/api/scenes", host, b"x" * 1000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
        b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\nX: " + b"y" * 100_000,
    ]


def picture_bytes() -> bytes:
    file = io.BytesIO()
    picture(640, 480).save(file, "JPEG")
    return file.getvalue()


async def _send(host: str, data: bytes) -> str:
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        writer.write(data)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(200), 90)
        return answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/") else "closed"
    except (ConnectionError, TimeoutError) as error:
        return type(error).__name__
    finally:
        writer.close()


async def _storm(host: str, num: int) -> Counter[str]:
    kinds = _hostile(host)
    return Counter(await asyncio.gather(*(_send(host, kinds[i % len(kinds)]) for i in range(num))))


@pytest.mark.slow
def test_200_hostile_requests_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-m", "panoptic3d", "app", "--port", "0", "--no-open", "--device", "cpu"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert server.stdout is not None
    address = server.stdout.readline().split()[0]
    try:
        while httpx.get(address).status_code != 200:
            time.sleep(0.1)
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        start_s = time.monotonic()
        answers = asyncio.run(_storm(address.removeprefix("http://").rstrip("/"), 200))
        seconds = time.monotonic() - start_s
        mib = process.memory_info().rss / 2**20
        table = {
            "answers": dict(sorted(answers.items())),
            "seconds": round(seconds, 1),
            "MiB before": round(before / 2**20),
            "MiB after": round(mib),
            "threads": process.num_threads(),
            "files left": len(list(Path("/tmp").glob("panoptic3d-app-*/*"))),
        }
        with capsys.disabled():
            print(json.dumps(table))
        assert not [code for code in answers if code.startswith(("2", "5")) and code not in ("200",)]
        assert mib < _MOST_MIB
        sent = httpx.post(f"{address}api/scenes", files={"photo": ("a.jpg", picture_bytes())}, timeout=60)
        assert sent.status_code == 202
        told = {"state": "queued"}
        while told["state"] not in ("done", "failed"):
            time.sleep(0.3)
            told = httpx.get(f"{address}api/scenes/{sent.json()['id']}").json()
        assert told["state"] == "done", told
    finally:
        server.terminate()
        server.wait(timeout=20)
        server.stdout.close()
