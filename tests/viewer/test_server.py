import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from panoptic3d.cli.main import main
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
    with make_server(tmp_path / "scenes") as server:
        thread = threading.Thread(target=server.serve_forever)
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


def test_one_scene_is_served_at_the_root(tmp_path: Path) -> None:
    with make_server(_scene(tmp_path / "one")) as server:
        thread = threading.Thread(target=server.serve_forever)
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
