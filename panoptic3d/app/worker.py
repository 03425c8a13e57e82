"""The network in a separate process, which ends if a photo takes too long or memory runs out; the server survives."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from panoptic3d.app.jobs import Order
from panoptic3d.errors import Panoptic3dError

_LOADED, _PREDICTED = 0.1, 0.6  # progress after these stages, as fractions of the time on a CPU


class ProcessRunner:
    """Starts the process with the first photo, and anew when it ended, until it is closed."""

    def __init__(self, device: str = "auto") -> None:
        self._device, self._process = device, None
        self._connection: Connection | None = None
        self._lock, self._is_closed = threading.Lock(), False

    def run(self, order: Order, folder: Path, tell: Callable[[float], None], limit_s: float) -> None:
        connection = self._started()
        end_s = time.monotonic() + limit_s
        try:
            connection.send((order, folder))
            while True:
                if not connection.poll(max(0.0, end_s - time.monotonic())):
                    self._end()
                    raise Panoptic3dError(f"the photo took longer than {limit_s:.0f} seconds and was given up.")
                kind, value = connection.recv()
                if kind == "progress":
                    tell(value)
                elif kind == "failed":
                    raise Panoptic3dError(value)
                else:
                    return
        except (EOFError, OSError) as error:
            self._end()
            raise Panoptic3dError("the network's process ended, most often for want of memory; try again.") from error

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join()
            self._process = self._connection = None

    def _started(self) -> Connection:
        with self._lock:
            if self._is_closed:
                raise Panoptic3dError("the server is ending; send the photo to the next one.")
            if self._process is None or not self._process.is_alive() or self._connection is None:
                context = multiprocessing.get_context("spawn")
                self._connection, theirs = context.Pipe()
                self._process = context.Process(target=_serve, args=(theirs, self._device), daemon=True)
                self._process.start()
                theirs.close()
            return self._connection


def _serve(connection: Connection, device: str) -> None:
    """Answer orders until the other end closes. A checkpoint stays loaded until an order names another one."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the server, too, which ends this process without a word
    from panoptic3d.predictor.predictor import Predictor

    opened: dict[str | None, Any] = {}
    while True:
        try:
            order, folder = connection.recv()
        except EOFError:
            return
        try:
            if order.checkpoint not in opened:
                opened.clear()
                opened[order.checkpoint] = Predictor(order.checkpoint, device)
            make_scene(opened[order.checkpoint], order, folder, lambda p: connection.send(("progress", p)))
            connection.send(("done", None))
        except Panoptic3dError as error:
            connection.send(("failed", str(error)))
        except Exception as error:  # sent to the client; the process continues
            connection.send(("failed", f"unexpected {type(error).__name__}: {error}"))


def make_scene(predictor: Any, order: Order, folder: Path, tell: Callable[[float], None]) -> None:
    """Predict and save the scene of an order. The worker process and the tests share this function."""
    tell(_LOADED)
    known = {"depth": order.depth, "camera_height_m": order.camera_height_m, "known_length": order.known_length}
    scene = predictor(order.photo, fov_deg=order.fov_deg, **known)
    tell(_PREDICTED)
    scene.save(folder)
