"""A server in a thread of its own, for a caller that blocks: started, asked, stopped, and nothing is left."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp

from usersim_env.errors import UserSideError
from usersim_env.study.addresses import NotFound
from usersim_env.study.connections import Connections, Network
from usersim_env.study.limits import MAX_FRAME, quiet
from usersim_env.study.session import PersonSession
from usersim_env.study.transport import HttpConnection, SocketConnection, listen
from usersim_env.study.web import app_of, person_routes

T = TypeVar("T")
_START = 20.0  # seconds; a loop that is not up by then will not come up


def uvicorn_config(
    app: ASGIApp, graceful: int, connections: Connections, proxies: Sequence[Network] = ()
) -> uvicorn.Config:
    """How every server of ours runs: one process, nothing on the console, frames of a bounded size.

    Args:
        app: what it serves.
        graceful: seconds that open requests get at the end.
        connections: counts those of this server.
        proxies: networks whose word is taken for whom a request is from.
    """
    quiet("uvicorn.error", *(f"usersim_env.study.{name}" for name in ("keeping", "sockets", "transport", "web")))
    return uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(HttpConnection, connections=connections)),
        ws=cast(type[asyncio.Protocol], partial(SocketConnection, connections=connections)),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=[str(network) for network in proxies],
        backlog=128,  # asyncio accepts so many at once, before any can be refused: each is an open file
        log_config=None,
        log_level="warning",  # below it, uvicorn writes addresses of people into the log
        access_log=False,
        server_header=False,
        lifespan="off",
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,  # texts are short, and a compressed bomb is one thing less to think of
        timeout_graceful_shutdown=graceful,
    )


class LocalServer:
    """Serves an app until `stop`.

    Args:
        app: what it serves.
        listening: the socket where it is asked; closed at the end.
        connections: counts those of this server.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, connections: Connections) -> None:
        self._socket = listening
        self._server = uvicorn.Server(uvicorn_config(app, 1, connections))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="usersim-env-page", daemon=True)

    def start(self) -> None:
        """Serves; returns when it answers."""
        up = threading.Event()
        self._loop.call_soon(up.set)
        self._thread.start()
        if not up.wait(_START):
            raise UserSideError(f"The page's server did not start within {_START:.0f} s.", "outage")

    def call(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs a coroutine on the server's loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def stop(self) -> None:
        """Closes connections, port and thread; a second call does nothing."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


def serve_one(session: PersonSession, port: int) -> tuple[LocalServer, str]:
    """Serves one session on this machine.

    Args:
        session: of the person.
        port: 0 for a free one.

    Returns:
        The server, which listens but is not started, and the address of the page, which cannot be guessed.
    """
    listening = listen("127.0.0.1", port)
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    token = secrets.token_urlsafe(32)

    def find(asked: str) -> PersonSession:
        if not secrets.compare_digest(asked.encode(), token.encode()):
            raise NotFound("There is no conversation at this address.")
        return session

    connections = Connections()
    server = LocalServer(app_of(person_routes(find, {origin}, connections)), listening, connections)
    return server, f"{origin}/s/{token}"
