import json
import os
import resource
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from panoptic3d.cli.main import main
from panoptic3d.viewer.gallery import gallery_page, lines_about
from panoptic3d.viewer.server import make_server


def _scene(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("index.html", "scene.json", "preview.png"):
        (folder / name).write_bytes(f"{folder.name}/{name}".encode())
    return folder


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[str]:
    _scene(tmp_path / "scenes" / "a b & <c> 🛋️")
    _scene(tmp_path / "scenes" / "second")
    _scene(tmp_path / "scenes" / "house" / "kitchen")
    (tmp_path / "scenes" / "index.jsonl").write_text("")
    (tmp_path / "secret.txt").write_text("secret")
    _scene(tmp_path / "elsewhere")
    (tmp_path / "scenes" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "scenes" / "bare").mkdir()
    (tmp_path / "scenes" / "bare" / "index.html").write_text("no scene")
    (_scene(tmp_path / "scenes" / "turned") / "index.html").unlink()
    (tmp_path / "scenes" / "turned" / "index.html").symlink_to("/etc/passwd")
    with make_server(tmp_path / "scenes") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def test_the_gallery_shows_every_scene_and_serves_its_files(gallery: str) -> None:
    page = _get(gallery + "/").decode()
    assert "a b &amp; &lt;c&gt; 🛋️" in page
    assert _get(f"{gallery}/second/") == b"second/index.html"
    assert page.count("<img") == 3
    assert _get(f"{gallery}/house/kitchen/") == b"kitchen/index.html"
    assert _get(f"{gallery}/a%20b%20%26%20%3Cc%3E%20%F0%9F%9B%8B%EF%B8%8F/preview.png").endswith(b"/preview.png")


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/../secret.txt", "/second/../../secret.txt", "/%2e%2e/secret.txt", "/x"]
)
def test_nothing_else_is_served(gallery: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        _get(gallery + path)
    assert error.value.code == 404
    error.value.close()


def test_another_host_name_is_turned_away(gallery: str) -> None:
    connection = HTTPConnection(gallery.removeprefix("http://"), timeout=5)
    connection.request("GET", "/", headers={"Host": "evil.example:80"})
    assert connection.getresponse().status == 403
    connection.close()


def _answer(address: str, raw: bytes) -> bytes:
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(raw)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_lines", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: {own}", 200),
        ("GET / HTTP/1.1\r\nHost: localhost:{port}", 200),
        ("GET http://[ HTTP/1.1\r\nHost: {own}", 404),
        ("GET / HTTP/1.1", 403),
        ("GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example", 403),
        ("GET / HTTP/1.1\r\nHost: localhost:1", 403),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.example:{port}", 403),
        ("POST / HTTP/1.1\r\nHost: {own}", 501),
        ("GET /second/%00 HTTP/1.1\r\nHost: {own}", 404),
        ("GET /second/scene.json/ HTTP/1.1\r\nHost: {own}", 404),
        ("GET /second/x.txt HTTP/1.1\r\nHost: {own}", 404),
        ("GET /second/panoptic.png HTTP/1.1\r\nHost: {own}", 404),
        ("GET /bare/index.html HTTP/1.1\r\nHost: {own}", 404),
        ("GET /linked/index.html HTTP/1.1\r\nHost: {own}", 404),
        ("GET /turned/index.html HTTP/1.1\r\nHost: {own}", 404),
        ("GET /" + "a" * 70_000 + " HTTP/1.1\r\nHost: {own}", 414),
        ("nonsense", 400),
    ],
)
def test_odd_and_hostile_requests(
    gallery: str, request_lines: str, status: int, capfd: pytest.CaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "scenes" / "second" / "x.txt").symlink_to("/etc/passwd")
    (tmp_path / "scenes" / "second" / "panoptic.png").symlink_to("/etc/passwd")
    own = gallery.removeprefix("http://")
    text = request_lines.format(own=own, port=own.rpartition(":")[2])
    answer = _answer(gallery, f"{text}\r\n\r\n".encode())
    assert answer.split()[1] == str(status).encode() or (status == 400 and b"Error code: 400" in answer)
    assert b"root:" not in answer
    assert b"nosniff" in answer or status == 400
    assert capfd.readouterr().err == ""


def test_a_folder_that_becomes_a_link_is_served_no_more(gallery: str, tmp_path: Path) -> None:
    second = tmp_path / "scenes" / "second"
    second.rename(tmp_path / "away")
    second.symlink_to(tmp_path / "away")
    assert b" 404 " in _answer(gallery, _request(gallery, "/second/"))


def test_a_page_may_read_nothing_but_itself(gallery: str) -> None:
    head = _answer(gallery, _request(gallery, "/second/")).split(b"\r\n\r\n")[0].decode()
    assert "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'" in head
    assert "sandbox allow-scripts" in head
    assert "Python" not in head


def test_a_browser_that_leaves_and_one_that_says_nothing(
    gallery: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("panoptic3d.viewer.server._REQUEST_S", 0.2)
    host, _, port = gallery.removeprefix("http://").rpartition(":")
    slow = [socket.create_connection((host, int(port)), timeout=5) for _ in range(20)]
    for connection in slow[:10]:
        connection.sendall(b"GET / HT")
    left = socket.create_connection((host, int(port)), timeout=5)
    left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left.sendall(_request(gallery, "/"))
    left.close()
    assert _get(gallery + "/second/") == b"second/index.html"
    for connection in slow:
        assert connection.recv(10) == b""  # turned away
        connection.close()
    assert capfd.readouterr().err == ""


def _request(gallery: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {gallery.removeprefix('http://')}\r\n\r\n".encode()


def test_names_of_any_bytes_have_their_place(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/scenes/b\xff"
    os.makedirs(folder)
    for name in ("index.html", "scene.json"):
        Path(os.fsdecode(folder), name).write_text("odd")
    with make_server(tmp_path / "scenes") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert "/b%FF/" in _get(address + "/").decode()
        assert _get(address + "/b%FF/") == b"odd"
        server.shutdown()
        thread.join()


def test_one_scene_is_served_at_the_root(tmp_path: Path) -> None:
    with make_server(_scene(tmp_path / "one")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        assert _get(f"http://127.0.0.1:{server.server_port}/") == b"one/index.html"
        server.shutdown()
        thread.join()


def test_what_is_no_scene_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, words in (("none", "is not there"), ("file", "is a file"), ("empty", "holds no scene")):
        assert main(["view", str(tmp_path / name), "--no-browser"]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    with make_server(_scene(tmp_path / "one")) as server:
        assert main(["view", str(tmp_path / "one"), "--no-browser", "--port", str(server.server_port)]) == 2
    assert "cannot be had" in capsys.readouterr().err
    for port in ("-1", "65536"):
        assert main(["view", str(tmp_path / "one"), "--no-browser", f"--port={port}"]) == 2
        assert "does not exist" in capsys.readouterr().err


def test_the_gallery_says_what_was_found_how_sure_and_by_which_camera(tmp_path: Path) -> None:
    things = [{"class": "chair", "is_thing": True, "score": score} for score in (0.25, 0.75)]
    facts = {"segments": [*things, {"class": "<wall>", "is_thing": False, "score": None}], "camera_source": "EXIF <b>"}
    _scene(tmp_path / "a")
    (tmp_path / "a" / "scene.json").write_text(json.dumps(facts | {"camera": {"fov_deg": 60.4}}))
    assert lines_about(tmp_path / "a") == ["chair x 2", "sure by 25 to 75 %", "60° wide, EXIF <b>"]
    assert "<b>a</b>" in (page := gallery_page("scenes", ["a"], tmp_path))
    assert "EXIF &lt;b&gt;" in page


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"segments": 3, "camera": []}', '{"segments": [3, {"class": [], "is_thing": true, "score": "x"}]}'],
)
def test_a_strangers_facts_do_no_harm(tmp_path: Path, text: str) -> None:
    (_scene(tmp_path / "a") / "scene.json").write_text(text)
    assert lines_about(tmp_path / "a") in (["no things"], ["its scene.json cannot be read"])


_HOSTILE = [
    *(f"/{'../' * n}etc/passwd" for n in range(1, 12)),
    *(f"/second/{'..%2f' * n}secret.txt" for n in range(1, 12)),
    *(f"/%{n:02x}" for n in range(0, 256, 3)),
    *(
        f"/second/{name}"
        for name in ("x.txt", ".", "..", "%00", "scene.json%00", "scene.json/", "//", "SCENE.JSON", "*", "a" * 3000)
    ),
    *(f"//second/{n}" for n in range(20)),
    *(f"/second/scene.json?{'a' * n}" for n in (1, 100, 60_000)),
    *("http://evil/", "http://[", "http://127.0.0.1/second/", "*", "", "?", "#", "second", "\\second\\index.html"),
]


@pytest.mark.slow
def test_honest_answers_under_attack(gallery: str, capfd: pytest.CaptureFixture) -> None:
    """300 hostile requests and 100 connections that dawdle, while 20 browsers load pages: each page within 2 seconds."""
    host, _, port = gallery.removeprefix("http://").rpartition(":")
    slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"GET /second/ HTTP/1.1\r\nX: ")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    requests = [path for _ in range(3) for path in _HOSTILE][:300]
    assert len(requests) == 300
    waited: list[float] = []

    def browse(_: int) -> None:
        for _ in range(5):
            start_s = time.monotonic()
            assert _get(gallery + "/second/") == b"second/index.html"
            waited.append(time.monotonic() - start_s)

    with ThreadPoolExecutor(40) as pool:
        attacks = [pool.submit(_answer, gallery, _request(gallery, path)) for path in requests]
        list(pool.map(browse, range(20)))
        answers = [attack.result() for attack in attacks]
    assert max(waited) < 2.0, max(waited)
    assert all(b"secret" not in answer and b"root:" not in answer for answer in answers)
    for connection in slow:
        connection.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert capfd.readouterr().err == ""
