"""The tables of requests, one by one: each gets an answer that is right, and the server goes on without a word.

All at once, with browsers that want their pages meanwhile: `python -m eval.faults.servers`.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from panoptic3d.viewer.server import make_server
from tests.export.tiny import make_tiny_scene
from tests.hostile.requests import TO_BOTH, Asked, answer, request, status_of
from tests.hostile.runner import a_few

pytest.importorskip("h11")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")

import h11

from panoptic3d.app.connection import Connection
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


def test_a_body_that_breaks_behind_its_answer_gets_no_second_one() -> None:
    """As under load, where the head has been answered and the rest of a request, which is no HTTP, comes in."""
    conn, transport = h11.Connection(h11.SERVER), Mock()
    conn.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert isinstance(conn.next_event(), h11.Request)
    conn.send(h11.Response(status_code=403, headers=[("Content-Length", "9")]))
    with pytest.raises(h11.RemoteProtocolError):
        conn.next_event()
    connection = object.__new__(Connection)
    connection.conn, connection.transport, connection.cycle = conn, transport, None
    for _ in range(2):
        connection.send_400_response("no HTTP")
    assert not transport.write.called
    assert transport.close.called
