"""The contract's HTTP, and what is refused: by whom, how much, how many."""

import contextlib
import errno
import io
import json
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from panoptic3d.app.command import listening_at  # noqa: E402
from panoptic3d.app.jobs import Jobs, Order, TooManyError  # noqa: E402
from panoptic3d.app.limits import Limits  # noqa: E402
from panoptic3d.app.private_folder import private_folder  # noqa: E402
from panoptic3d.app.worker import ProcessRunner, _serve  # noqa: E402
from panoptic3d.cli.main import main  # noqa: E402
from panoptic3d.errors import Panoptic3dError  # noqa: E402
from panoptic3d.structures.given_depth import KnownLength  # noqa: E402
from tests.app.serving import InThread, served  # noqa: E402
from tests.predictor.hostile import picture  # noqa: E402

_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4000 4000\n%%EndComments\n"  # no decoder may even learn its size
LIMITS = Limits(max_upload_bytes=200_000, max_pixels=100_000, max_waiting=2, max_kept=3, upload_s=2.0)


@pytest.fixture(scope="module")
def runner() -> InThread:
    return InThread()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, runner: InThread) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("app"), runner, LIMITS) as (address, _):
        yield address


def photo(width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    picture(width, height).save(file, "PNG")
    return file.getvalue()


def send(address: str, data: bytes | None = None, **fields: str):
    files = {"photo": ("../../etc/room.png", photo() if data is None else data)}
    return httpx.post(f"{address}/api/scenes", files=files, data=fields)


def wait(address: str, job: str) -> dict:
    for _ in range(600):
        told = httpx.get(f"{address}/api/scenes/{job}").json()
        if told["state"] in ("done", "failed"):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def test_a_photo_becomes_a_scene(address: str) -> None:
    queued = send(address, fov_deg="70")
    assert queued.status_code == 202
    assert queued.json().keys() == {"id", "state"}
    told = wait(address, queued.json()["id"])
    assert (told["state"], told["progress"], told["error"], told["name"]) == ("done", 1.0, None, "room.png")
    assert set(told["files"]) == {"scene.npz", "scene.glb", "scene.json", "preview.png", "index.html"}
    place = f"{address}/api/scenes/{told['id']}"
    facts = httpx.get(f"{place}/scene.json").json()
    assert facts["camera_source"] == "given field of view"
    assert httpx.get(f"{place}/scene.glb").content[:4] == b"glTF"
    page = httpx.get(f"{place}/index.html")
    assert "sandbox" in page.headers["content-security-policy"]
    for name in ("photo", "../photo", "%2e%2e/photo", "..%2f..%2fetc%2fpasswd", "scene.json%00", "/etc/passwd"):
        assert httpx.get(f"{place}/{name}").status_code in (400, 404), name
    assert httpx.delete(place).status_code == 204
    for gone in (httpx.get(place), httpx.get(f"{place}/scene.json"), httpx.delete(place)):
        assert gone.status_code == 404
        assert gone.json()["error"].endswith(".")


@pytest.mark.parametrize(
    ("data", "fields", "said"),
    [
        (b"no picture", {}, "the photo is no picture that can be read (JPEG, PNG, WebP, TIFF, ...); convert it."),
        (_EPS, {}, "the photo is no picture that can be read (JPEG, PNG, WebP, TIFF, ...); convert it."),
        (b"", {}, "the photo is empty; it may not have been copied to its end."),
        (photo(20, 20), {}, "the photo is 20x20; a photo needs at least 32 pixels on each side."),
        (photo(500, 400), {}, "the photo has 500x400 pixels; at most 100,000 are taken here, shrink it first."),
        (photo()[:120], {}, "the photo is damaged"),
        (None, {"fov_deg": "400"}, "a field of view lies between 0 and 180 degrees, got 400.0."),
        (None, {"fov_deg": "wide"}, "fov_deg: "),
        (None, {"fov_deg": "nan"}, "a field of view lies between 0 and 180 degrees, got nan."),
        (None, {"checkpoint": "/etc"}, "the checkpoint '/etc' is not shipped; there are: any-camera, tiny."),
    ],
)
def test_wrong_input_gets_the_sentence_of_the_command_line(
    address: str, data: bytes | None, fields: dict[str, str], said: str
) -> None:
    answer = send(address, data, **fields)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(said)
    assert "\n" not in answer.json()["error"]


def test_a_known_scale_reaches_the_network(tmp_path: Path) -> None:
    orders: list[Order] = []

    class Listening(InThread):
        def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None:
            orders.append(order)

    with served(tmp_path, Listening()) as (address, _):
        for fields in ({"camera_height_m": "1.5"}, {"known_length": "1,2,30.5,4,0.9"}):
            wait(address, send(address, **fields).json()["id"])
        both = send(address, camera_height_m="1.5", known_length="1,2,30,4,0.9")
    assert orders[0].camera_height_m == 1.5
    assert orders[1].known_length == KnownLength(((1.0, 2.0), (30.5, 4.0)), 0.9)
    assert both.status_code == 422
    assert "each says the scale; give one" in both.json()["error"]


def test_who_may_ask(address: str) -> None:
    files = {"photo": ("a.png", photo())}
    port = address.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"localhost.evil.example:{port}"):
        assert httpx.get(address, headers={"Host": host}).status_code == 403, host
    for host in (f"localhost:{port}", f"192.168.1.7:{port}", f"[::1]:{port}"):
        assert httpx.get(address, headers={"Host": host}).status_code == 200, host
    foreign = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    for headers in foreign:
        assert httpx.post(f"{address}/api/scenes", files=files, headers=headers).status_code == 403
    answer = httpx.get(address)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_how_much_may_come(address: str) -> None:
    assert send(address, bytes(300_000)).status_code == 413

    def pieces() -> Iterator[bytes]:  # without a length
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(10_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx.WriteError):  # the server may close while it is still being sent to
        assert httpx.post(f"{address}/api/scenes", content=pieces(), headers=headers).status_code == 413


def test_how_many_may_wait(address: str, runner: InThread) -> None:
    runner.gate.clear()
    runner.is_idle = True
    try:
        ids = [send(address).json()["id"]]
        while httpx.get(f"{address}/api/scenes/{ids[0]}").json()["state"] == "queued":
            time.sleep(0.01)
        ids += [send(address).json()["id"] for _ in range(2)]
        refused = send(address)
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert httpx.get(f"{address}/api/scenes/{ids[1]}").json()["state"] == "queued"
        assert httpx.delete(f"{address}/api/scenes/{ids[1]}").status_code == 204
        assert httpx.delete(f"{address}/api/scenes/{ids[0]}").status_code == 204  # while it runs
    finally:
        runner.gate.set()
    assert wait(address, ids[2])["state"] == "done"
    runner.is_idle = False


class _Counting:
    """Makes empty scenes, the first one when the gate opens."""

    def __init__(self) -> None:
        self.gate, self.has_begun, self.num_runs = threading.Event(), threading.Event(), 0

    def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None:
        self.num_runs += 1
        folder.mkdir()
        self.has_begun.set()
        self.gate.wait()

    def close(self) -> None:
        self.gate.set()


def test_old_files_go_though_nobody_asks(tmp_path: Path) -> None:
    runner = _Counting()
    jobs = Jobs(tmp_path, runner, Limits(keep_s=0.05, sweep_s=0.02))
    try:
        job_id, folder = jobs.new_folder()
        jobs.add(job_id, Order(folder / "photo", "a photo"))
        assert runner.has_begun.wait(10)
        assert folder.is_dir()
        runner.gate.set()
        for _ in range(500):
            if not folder.exists():
                break
            time.sleep(0.02)
        assert list(tmp_path.iterdir()) == []
        assert jobs.get(job_id) is None
        assert jobs.file("../" + job_id, "scene.json") is None
    finally:
        jobs.close()


def test_photos_that_wait_do_not_hold_up_the_end(tmp_path: Path) -> None:
    runner = _Counting()
    jobs = Jobs(tmp_path, runner, Limits())
    for _ in range(3):
        job_id, folder = jobs.new_folder()
        jobs.add(job_id, Order(folder / "photo", "a photo"))
    assert runner.has_begun.wait(10)
    jobs.close()
    assert runner.num_runs == 1
    assert not [thread for thread in threading.enumerate() if thread is jobs._thread]


def test_a_closed_runner_starts_no_process(tmp_path: Path) -> None:
    runner = ProcessRunner("cpu")
    runner.close()
    with pytest.raises(Panoptic3dError, match="the server is ending"):
        runner.run(Order(tmp_path / "photo", "a photo"), tmp_path / "scene", lambda progress: None, 1.0)


def test_ctrl_c_is_left_to_the_server() -> None:
    """A terminal sends it to both processes, and the worker would print a traceback."""
    before = signal.getsignal(signal.SIGINT)
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    try:
        _serve(theirs, "cpu")  # which ends at once
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_address_of_ipv6() -> None:
    try:
        listening = listening_at("::1", 0)
    except OSError as error:
        pytest.skip(f"no IPv6 here ({error})")
    with listening:
        assert listening.getsockname()[0] == "::1"


def test_a_full_queue_takes_no_upload(tmp_path: Path) -> None:
    with pytest.raises(TooManyError):
        Jobs(tmp_path, InThread(), Limits(max_waiting=0)).new_folder()


def test_the_camera_of_a_photo_and_the_docs(address: str) -> None:
    told = httpx.post(f"{address}/api/camera", files={"photo": ("a.png", photo())}).json()
    assert told == {"fov_deg": 60.0, "source": "assumed: 60 degrees across the longer side"}
    docs = httpx.get(f"{address}/api/docs").text
    assert "POST /api/scenes" in docs
    assert "http://" not in docs
    assert "https://" not in docs
    schema = httpx.get(f"{address}/api/openapi.json").json()
    assert "/api/scenes/{scene_id}/{name}" in schema["paths"]
    about = httpx.get(f"{address}/api/about").json()
    assert about["examples"] == ["bedroom.jpg", "bedside.jpg", "dining.jpg"]
    assert json.dumps(about)


def test_a_port_that_is_taken_is_one_sentence(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--port", address.rpartition(":")[2], "--no-open"]) == 2
    assert "cannot be had" in capsys.readouterr().err
    assert main(["app", "--port", "70000", "--no-open"]) == 2


def test_a_full_disk_is_507_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with served(tmp_path, InThread()) as (address, _):
        answer = send(address)
    assert answer.status_code == 507
    assert answer.json() == {"error": "the server's disk is full; delete scenes, or try again later."}
    assert list(tmp_path.iterdir()) == []


def test_the_next_server_deletes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, other = tmp_path / "panoptic3d-app-killed", tmp_path / "panoptic3d-app-no-lock"
    for folder in (left, other):
        folder.mkdir()
        (folder / "photo").write_bytes(b"x")
    (left / ".lock").touch()
    with private_folder() as living, private_folder():
        assert living.is_dir()
        assert not left.exists()
        assert (other / "photo").exists(), "it may be another program's"


@pytest.mark.slow
def test_an_error_of_a_scene_shows_no_path_of_this_machine(tmp_path: Path) -> None:
    class Refusing(InThread):
        def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None:
            raise Panoptic3dError(f"{folder} cannot be written (No space left on device); make room.")

    with served(tmp_path, Refusing()) as (address, _):
        told = wait(address, send(address).json()["id"])
    assert told["error"] == "the scene cannot be written (No space left on device); make room."
