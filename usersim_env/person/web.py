"""What a person's browser asks for: the page, its files, the state of an address, the socket. Nothing else is here."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from usersim_env.person.addresses import Find, NotFound
from usersim_env.person.connections import CROWDED, Connections, network_of
from usersim_env.person.limits import Buckets
from usersim_env.person.sockets import PageSocket

log = logging.getLogger(__name__)

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in (Path(__file__).parent / "page").iterdir()
    if path.suffix in _TYPES
}
"""The page: all there is to ask for, so that no name can lead anywhere else."""

_SELF = "script-src style-src img-src connect-src form-action".split()
HEADERS = {
    "content-security-policy": "; ".join(
        ["default-src 'none'", *(f"{name} 'self'" for name in _SELF), "base-uri 'none'", "frame-ancestors 'none'"]
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""On every answer: no script but ours, no request to anybody else, the address in no referrer and no cache."""


class _Denied(Exception):
    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text, self.status = text, status


def person_routes(find: Find, origins: Collection[str], connections: Connections) -> list[BaseRoute]:
    """The routes of a person's address.

    Args:
        find: looks a token up.
        origins: ``https://host`` of pages that may open a socket.
        connections: counts the sockets of each network.
    """
    opened = Buckets(rate=1, burst=30)

    async def page(request: Request) -> Response:
        return static("index.html")

    async def file(request: Request) -> Response:
        return static(request.path_params["name"])

    async def status(request: Request) -> Response:
        try:
            find(request.path_params["token"])
        except NotFound as error:
            return JSONResponse({"error": error.text}, error.status)
        return JSONResponse({"open": True})

    async def socket(websocket: WebSocket) -> None:
        token = websocket.path_params["token"]
        try:
            if not same_origin(websocket, origins):
                raise _Denied("This comes from another site.", 403)
            session = find(token)
            if not opened.take(token):
                raise _Denied("Too many connections at once. Please wait a moment.", 429)
            if not connections.join_socket(network := peer(websocket)):
                raise _Denied(CROWDED[1], CROWDED[0])
        except (NotFound, _Denied) as error:
            await websocket.send_denial_response(JSONResponse({"error": error.text}, error.status))
            return
        try:
            await PageSocket(websocket, session).run()
        finally:
            connections.part_socket(network)

    return [
        Route("/s/{token}", page),
        Route("/s/{token}/status", status),
        WebSocketRoute("/s/{token}/ws", socket),
        Route("/page/{name}", file),
    ]


def static(name: str) -> Response:
    """A file of the page."""
    if name not in _FILES:
        return JSONResponse({"error": "There is no such file."}, 404)
    content, kind = _FILES[name]
    return Response(content, media_type=kind)


def same_origin(connection: HTTPConnection, origins: Collection[str]) -> bool:
    """Whether a page of ours asks; a browser always says where a socket or a POST comes from."""
    return connection.headers.get("origin") in origins


def peer(connection: HTTPConnection) -> str:
    """The network that asks (`network_of`); behind a trusted proxy, that of the client which the proxy names."""
    return network_of(connection.client.host if connection.client is not None else "")


def app_of(routes: Sequence[BaseRoute]) -> ASGIApp:
    """An app of these routes, and of no others: not even a redirection that would name the request's own Host."""
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return SecurityHeaders(app)


class SecurityHeaders:
    """Puts `HEADERS` on every answer, also to a socket that is refused, and logs refusals by what was asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        accepted = False

        async def with_headers(message: Message) -> None:
            nonlocal accepted
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
                _note(scope, message["status"])
            elif message["type"] == "websocket.close" and not accepted:  # Starlette's way to say 404 to a socket
                await JSONResponse({"error": "There is no such address."}, 404)(scope, receive, with_headers)
                return
            accepted |= message["type"] == "websocket.accept"
            await send(message)

        await self._app(scope, receive, with_headers)


_PLACES = ("", "admin", "health", "join", "page", "s", "welcome")
_METHODS = ("GET", "HEAD", "POST")
_NO_ATTACK = (409, 410)  # nobody's fault: the study is full, the conversation is over


def _note(scope: Scope, status: int) -> None:
    """A refusal for the log; nothing of it is the client's own words, and the rest of the address may be a secret."""
    if status < 400 or status in _NO_ATTACK:
        return
    place = scope["path"].split("/")[1:2]
    where = f"/{place[0]}" if place and place[0] in _PLACES else "some other address"
    method = scope.get("method", "socket")
    how = method if method in (*_METHODS, "socket") else "another method"
    log.warning(f"answered {status} to {how}, {where}, from %s", peer(HTTPConnection(scope)))
