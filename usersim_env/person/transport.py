"""Connections that a hostile client cannot hold open, fill up or crash: uvicorn's own, with limits that it lacks."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import socket
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.server import ServerProtocol

from usersim_env.person.connections import Connections
from usersim_env.person.limits import PATIENCE, Bucket
from usersim_env.person.sockets import POLICY
from usersim_env.person.web import HEADERS

log = logging.getLogger(__name__)

_PIECE = 1024  # bytes that are looked at before the limits are
_PARTING = 2.0  # seconds that a connection which is refused has to ask for something, and to be told


def listen(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: a free one) whose connections send each frame at once.

    asyncio sees to that only where a socket says that it is TCP, which those of `socket.create_server` do not; a
    frame that follows another would wait up to 40 ms for the browser's receipt of the first. A client that reads
    nothing for `PATIENCE` seconds is cut off, where the system can do so.

    Raises:
        OSError: it cannot be listened there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE * 1000))
    return listening


class HttpConnection(H11Protocol):
    """Closes when no whole request came for `PATIENCE` seconds; answers what is no HTTP with our headers.

    Args:
        connections: where it is counted. One that is too many gets an answer that says so, and is closed.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._counted = connections
        self._refusal: tuple[int, str] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._refusal = self._counted.join(transport)
        if self._refusal is None:
            self._timer = self.loop.call_later(PATIENCE, self._look, self.cycle)
            return
        log.warning("a connection was refused (%d): there are too many", self._refusal[0])
        if self._counted.may_linger(transport):
            self._timer = self.loop.call_later(_PARTING, transport.abort)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and nothing of it stays: a timer would hold it."""
        self._rest()
        self._counted.part(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What the client sent; one that is refused is told why, in a page where it asked for one."""
        if self._refusal is None:
            super().data_received(data)
        elif not self.transport.is_closing():
            self.transport.write(_refused(*self._refusal, page=b"text/html" in data.lower()))
            self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the connection is a `SocketConnection`."""
        self._rest()
        super().handle_websocket_upgrade(event)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: RequestResponseCycle | None) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is before and (cycle is None or cycle.response_complete):
            log.warning("a connection was closed: it sent no whole request in time")
            self.transport.abort()
            return
        self._timer = self.loop.call_later(PATIENCE, self._look, cycle)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP; where an answer was already given or begun, there is nothing more to say."""
        if self.conn.our_state is h11.IDLE:
            lines = [f"{name}: {value}" for name, value in HEADERS.items()]
            head = ["HTTP/1.1 400 Bad Request", *lines, "content-length: 0", "connection: close", "", ""]
            self.transport.write("\r\n".join(head).encode("ascii"))
        self.transport.close()


def _refused(status: int, text: str, page: bool) -> bytes:
    """A whole answer that refuses a request."""
    kind = "text/html; charset=utf-8" if page else "application/json"
    words = f"<!doctype html><title>Study</title><p>{html.escape(text)}</p>" if page else json.dumps({"error": text})
    body = words.encode()
    fields = HEADERS | {
        "content-type": kind,
        "content-length": str(len(body)),
        "retry-after": "60",
        "connection": "close",
    }
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


class _Handshake(ServerProtocol):
    """Refuses with our headers, and without words of the request in the answer."""

    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, "")
        response.headers.update(HEADERS)
        return response


class SocketConnection(WebSocketsSansIOProtocol):
    """Counts what never becomes a message: pings, pongs and fragments without end.

    Args:
        connections: where it was counted when it began as an `HttpConnection`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.logger)
        self._rate = Bucket(rate=5, burst=60)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._connections.part(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A little at a time, so that no more than that is done before a limit is noticed."""
        for at in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[at : at + _PIECE])

    async def send(self, message: Any) -> None:
        """What the app says; a refusal is a complete answer, for which uvicorn logs an error of the app's."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Nobody answers: what could not be sent by now is not waited for."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        """A ping, if it may come."""
        if self._counted():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """A pong, if it may come."""
        if self._counted():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """A further fragment of a message, if it may come."""
        if self._counted():
            super().handle_cont(event)

    def _counted(self) -> bool:
        if self.transport.is_closing():
            return False
        if self._rate.take():
            return True
        log.warning("a page was sent away: control frames or fragments without end")
        self.conn.fail(POLICY, "too many frames")
        self.handle_parser_exception()
        return False
