"""What a person's browser asks for: the page, its files, the state of an address, the socket. Nothing else is here."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from usersim_env.study.addresses import Find, NotFound
from usersim_env.study.sockets import PageSocket

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


def person_routes(find: Find, origins: Collection[str]) -> list[BaseRoute]:
    """The routes of a person's address.

    Args:
        find: looks a token up.
        origins: ``https://host`` of pages that may open a socket.
    """

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
        if not same_origin(websocket, origins):
            log.warning("a socket was refused: it came from another site")
            await websocket.send_denial_response(JSONResponse({"error": "This comes from another site."}, 403))
            return
        try:
            found = find(websocket.path_params["token"])
        except NotFound as error:
            await websocket.send_denial_response(JSONResponse({"error": error.text}, error.status))
            return
        await PageSocket(websocket, found.session, found.seen).run()

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
    """The network address that asks; that of the person where a proxy on this machine says so."""
    return connection.client.host if connection.client is not None else ""


class SecurityHeaders:
    """Puts `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)
