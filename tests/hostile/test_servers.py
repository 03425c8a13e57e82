"""The tables of requests, one by one: each gets an answer that is right, and the server goes on without a word.

All at once, with browsers that want their pages meanwhile: `python -m eval.faults.servers`.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from panoptic3d.viewer.server import make_server
from tests.export.tiny import make_tiny_scene
from tests.hostile.requests import TO_BOTH, Asked, answer, request, status_of
from tests.hostile.runner import a_few

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")

from tests.app.serving import InThread, served
from tests.hostile.app_requests import TO_APP


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("app")
    with served(folder, InThread()) as (address, _):
        yield address.removeprefix("http://"), folder


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("view")
    make_tiny_scene().save(folder / "room")
    with make_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _hold(host: str, asked: Asked, capfd: pytest.CaptureFixture) -> None:
    said = answer(host, asked.data)
    assert status_of(said) in asked.right, said[:500]
    assert b"root:" not in said
    assert b"Traceback" not in said
    assert b"access-control-allow" not in said.lower()
    assert status_of(answer(host, request("GET", "/"))) == "200"
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a form is cut off: starlette closes it late
@pytest.mark.parametrize("asked", a_few([*TO_BOTH, *TO_APP], 30), ids=str)
def test_what_the_app_is_asked(asked: Asked, app: tuple[str, Path], capfd: pytest.CaptureFixture) -> None:
    _hold(app[0], asked, capfd)
    assert list(app[1].iterdir()) == [], "something was left behind"


@pytest.mark.parametrize("asked", a_few(TO_BOTH, 30), ids=str)
def test_what_view_is_asked(asked: Asked, view: str, capfd: pytest.CaptureFixture) -> None:
    _hold(view, asked, capfd)
