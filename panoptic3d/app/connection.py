"""Connections that close when a client takes too long to send its request or to read its answer."""

import asyncio
import logging
from collections.abc import Callable

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from panoptic3d.app.guard import App
from panoptic3d.app.limits import Limits

_HEAD_BYTES = 32_768


def make_server(app: App, limits: Limits) -> uvicorn.Server:
    """The uvicorn server of an application that is wrapped in its guard."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # its remarks on broken forms are in the answers

    class Limited(Connection):
        own_limits = limits

    config = uvicorn.Config(
        app, http=Limited, ws="none", log_level="error", server_header=False, timeout_keep_alive=10,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )  # fmt: skip
    return uvicorn.Server(config)


class Connection(H11Protocol):
    """uvicorn itself waits for ever for a head that does not end, and for a client that does not read."""

    own_limits: Limits
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        if len(self.connections) > self.own_limits.max_connections:
            transport.abort()
        else:
            self._expect(self.own_limits.head_s, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_answered = self.cycle is None or self.cycle.response_complete
        if not is_answered:
            self._expect_nothing()
        elif self._end is None:  # the head of the next request, or a body that is no longer needed
            self._expect(self.own_limits.head_s, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """The body is not valid HTTP. An application that already answers the head learns that the client left. If its answer
        is on its way or done, no second one may follow.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_nothing()
        self._expect(self.own_limits.piece_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect_nothing()

    def _expect(self, within_s: float, otherwise: Callable[[], object]) -> None:
        self._end = self.loop.call_later(within_s, otherwise)

    def _expect_nothing(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
