"""Checks before any route: who may send requests, how large and how many at once, and for how long."""

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from panoptic3d.app.limits import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class _RefusedError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: App, limits: Limits, port: int) -> None:
        self._app, self._limits, self._port = app, limits, port
        self._num_requests = self._num_uploads = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        is_upload = scope["method"] == "POST"
        started, refusals = False, list[_RefusedError]()

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if refusals and not started:  # the application took the refusal for a broken body; the answer is ours
                return
            if message["type"] == "http.response.start":
                started = True
                names = {name for name, _ in message["headers"]}
                own = [(name, value) for name, value in _HEADERS.items() if name not in names]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        self._num_requests += 1
        self._num_uploads += is_upload
        try:
            self._check(scope, is_upload)
            await self._app(scope, self._bounded(receive, refusals) if is_upload else receive, guarded_send)
        except _RefusedError as refused:
            refusals.append(refused)
        finally:
            self._num_requests -= 1
            self._num_uploads -= is_upload
        if refusals and not started:
            await _answer(send, refusals[0].status, refusals[0].sentence)

    def _check(self, scope: Message, is_upload: bool) -> None:
        if len(scope["headers"]) > self._limits.max_headers:
            raise _RefusedError(431, f"a request has at most {self._limits.max_headers} headers.")
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not _is_own(hosts[0], self._port):
            raise _RefusedError(403, "this server answers to its own address only.")
        origin = headers.get(b"origin", [])
        site = headers.get(b"sec-fetch-site", [b"none"])
        if scope["method"] not in ("GET", "HEAD") and (
            any(o != b"http://" + hosts[0] for o in origin) or site[0] not in (b"none", b"same-origin")
        ):
            raise _RefusedError(403, "another site may not send photos to this server.")
        if self._num_requests > self._limits.max_requests or (
            is_upload and self._num_uploads > self._limits.max_uploads
        ):
            raise _RefusedError(429, "too many requests at once; try again in a moment.")
        length = headers.get(b"content-length", [b"0"])[0]
        if is_upload and (not length.isdigit() or len(length) > 15 or int(length) > self._limits.max_upload_bytes):
            raise _RefusedError(413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"an upload has at most {self._limits.max_upload_bytes:,} bytes; shrink the photo first."

    def _bounded(self, receive: Receive, refusals: list[_RefusedError]) -> Receive:
        """The body, as long as it is neither too large nor too slow."""
        loop, limits = asyncio.get_running_loop(), self._limits
        start_s, num_bytes, is_whole = loop.time(), 0, False

        async def bounded() -> Message:
            nonlocal num_bytes, is_whole
            if is_whole:
                return await receive()
            try:
                may_last_s = min(limits.upload_s, limits.patience_s + num_bytes / limits.least_bytes_per_s)
                message = await asyncio.wait_for(receive(), max(0.001, start_s + may_last_s - loop.time()))
            except TimeoutError:
                refusals.append(_RefusedError(408, "the upload took too long."))
                raise refusals[0] from None
            num_bytes += len(message.get("body", b""))
            if num_bytes > limits.max_upload_bytes:
                refusals.append(_RefusedError(413, self._too_large))
                raise refusals[0]
            is_whole = not message.get("more_body", False)
            return message

        return bounded


def _is_own(host: bytes, port: int) -> bool:
    """localhost or an address in numbers. Names are refused: another site's name may be made to point here."""
    name, _, given_port = host.decode("latin-1").rpartition(":")
    if not name:  # without a port
        name, given_port = given_port, "80"
    if given_port != str(port):
        return False
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    headers += _HEADERS.items()
    if status == 429:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
