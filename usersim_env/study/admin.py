"""The admin page's requests, behind a token; nothing here can change a study."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from usersim_env.errors import UsageError
from usersim_env.person.limits import Buckets
from usersim_env.person.web import peer, static
from usersim_env.study.export import study_lines
from usersim_env.study.overview import conversation, overview
from usersim_env.study.store import kept_secret
from usersim_env.study.study import Study

log = logging.getLogger(__name__)

FILE = "admin-token"
_Handler = Callable[[Request], Awaitable[Response]]


_SHORTEST = 16  # characters of a token


def admin_token(folder: Path) -> str:
    """The token of a study, made once and kept in a file for its owner's eyes only.

    Raises:
        UsageError: the file holds none that could not be guessed; an empty one would let everybody in.
    """
    path = folder / FILE
    token = kept_secret(path, secrets.token_urlsafe(32).encode()).decode("utf-8", "replace").strip()
    if len(token) < _SHORTEST:
        raise UsageError(
            f"{path} holds {len(token)} characters, expected a token of at least {_SHORTEST}. "
            "Remove the file, and a new one is made."
        )
    return token


def admin_routes(study: Study, token: str) -> list[BaseRoute]:
    """The page, which holds nothing, and what it asks for."""
    wrong = Buckets(rate=0.2, burst=20)

    def guarded(handler: _Handler) -> _Handler:
        async def check(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return await handler(request)
            if not wrong.take(peer(request)):
                return JSONResponse({"error": "Too many tries. Please wait."}, 429)
            return JSONResponse({"error": "The token is not valid."}, 401)

        return check

    async def page(request: Request) -> Response:
        return static("admin.html")

    async def everything(request: Request) -> Response:
        return _Ascii(overview(study))

    async def one(request: Request) -> Response:
        found = conversation(study, request.path_params["sitting"])
        return JSONResponse({"error": "There is no such session."}, 404) if found is None else _Ascii(found)

    async def export(request: Request) -> Response:
        content = "".join(study_lines(study.store.connection, lambda text: log.warning("export: %s", text)))
        headers = {"content-disposition": 'attachment; filename="study.jsonl"'}
        return Response(content, media_type="application/x-ndjson", headers=headers)

    return [
        Route("/admin", page),
        Route("/admin/api/overview", guarded(everything)),
        Route("/admin/api/sessions/{sitting}", guarded(one)),
        Route("/admin/api/export", guarded(export)),
    ]


class _Ascii(JSONResponse):
    """JSON that can hold half a character, which an agent may have said."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")
