"""The app on a free port, with a network that is none in place of the process."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from panoptic3d.app.guard import Guard
from panoptic3d.app.jobs import Jobs, Order, Runner
from panoptic3d.app.limits import Limits
from panoptic3d.app.service import make_app
from panoptic3d.app.worker import make_scene
from panoptic3d.predictor.predictor import Predictor
from tests.predictor.echo import Echo


class InThread:
    """Runs orders where it is called; `gate` holds them back."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.is_idle = False  # True: orders are done without a scene
        self.predictor = Predictor(network=Echo())

    def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None:
        self.gate.wait()
        if self.is_idle:
            folder.mkdir()
            return
        make_scene(self.predictor, order, folder, tell)

    def close(self) -> None:
        self.gate.set()


@contextmanager
def served(folder: Path, runner: Runner, limits: Limits | None = None) -> Iterator[tuple[str, Jobs]]:
    from panoptic3d.app.connection import make_server

    jobs = Jobs(folder, runner, limits or Limits())
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = make_server(Guard(make_app(jobs), jobs.limits, port), jobs.limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", jobs
    finally:
        server.should_exit = True
        thread.join()
        jobs.close()
        listening.close()
