"""A server in a thread of its own, for a caller that blocks: started, asked, stopped, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp

from usersim_env.errors import UsageError, UserSideError
from usersim_env.messages import Message
from usersim_env.person.addresses import NotFound
from usersim_env.person.connections import Connections, Network
from usersim_env.person.limits import MAX_FRAME, quiet
from usersim_env.person.markdown import message_html
from usersim_env.person.session import Ending, PersonSession, Phase
from usersim_env.person.transport import HttpConnection, SocketConnection, listen
from usersim_env.person.web import app_of, person_routes
from usersim_env.person.words import rules_html

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
    rooms = {"person": ("sockets", "transport", "web"), "study": ("keeping",)}
    quiet("uvicorn.error", *(f"usersim_env.{room}.{name}" for room, names in rooms.items() for name in names))
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


class LocalPage:
    """One address for one person, at which one session after another is shown.

    Args:
        host: address of this machine that is listened at; the page's address has it, so others must be able to use it.
        port: 0 for a free one.
        rules: a Markdown file for the person, or ``None`` for the rules of studies.
        markdown: whether an agent's Markdown is shown as such.

    Raises:
        UsageError: it cannot be listened there, or the rules cannot be read.
    """

    def __init__(self, host: str, port: int, rules: str | os.PathLike[str] | None, markdown: bool) -> None:
        self.rules = rules_html(rules)
        self.render = message_html if markdown else None
        try:
            listening = listen(host, port)
        except OSError as error:
            raise UsageError(
                f"The page cannot be served at {host}:{port}: {error.strerror}. Name another port (0 for a free one)."
            ) from None
        shown = f"[{host}]" if ":" in host else host
        origin = f"http://{shown}:{listening.getsockname()[1]}"
        self._token = secrets.token_urlsafe(32)
        self._session: PersonSession | None = None
        self.address = f"{origin}/s/{self._token}"
        """Cannot be guessed."""
        connections = Connections()
        app = app_of(person_routes(self._find, {origin}, connections))
        self._server = LocalServer(app, listening, connections)

    def start(self) -> None:
        """Serves; returns when it answers."""
        self._server.start()

    def show(self, session: PersonSession) -> None:
        """From now on this session is the one at the address; who still looks at the last one is told so."""
        last, self._session = self._session, session
        if last is not None and last.ending is not None:
            self.update(last, last.phase, last.messages, replace(last.ending, next="now"))

    def update(
        self,
        session: PersonSession,
        phase: Phase,
        messages: Sequence[Message],
        ending: Ending | None = None,
        activity: int = 0,
    ) -> None:
        """Shows a state of a session, from another thread than the page's."""

        async def show() -> None:
            session.show(phase, messages, activity, ending)

        self._server.call(show(), 20.0)

    def settle(self, session: PersonSession) -> None:
        """Waits a moment until whoever looks has seen the last state."""
        self._server.call(session.settle(1.0), 2.0)

    def stop(self) -> None:
        """Says that nothing more comes, and takes the page down; a second call does nothing."""
        try:
            last = self._session
            if last is not None and last.ending is not None and last.ending.next:
                self.update(last, last.phase, last.messages, replace(last.ending, next=None))
                self.settle(last)
        finally:
            self._server.stop()

    def _find(self, asked: str) -> PersonSession:
        if self._session is None or not secrets.compare_digest(asked.encode(), self._token.encode()):
            raise NotFound("There is no conversation at this address.")
        return self._session
