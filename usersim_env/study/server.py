"""The study server: the app, and how it runs until somebody stops it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from usersim_env.errors import UsageError
from usersim_env.person.connections import Connections, raise_descriptor_limit, room_for
from usersim_env.person.limits import MAX_BODY, PATIENCE, Buckets, quiet
from usersim_env.person.local import uvicorn_config
from usersim_env.person.settings import ServerSettings, StudySettings
from usersim_env.person.transport import listen
from usersim_env.person.web import app_of, peer, person_routes, same_origin, static
from usersim_env.study.admin import admin_routes, admin_token
from usersim_env.study.agents import agent_side
from usersim_env.study.doorkeeper import Doorkeeper
from usersim_env.study.study import CannotJoin, ConsentChanged, Study


def serve(settings: StudySettings, agent: object, server: ServerSettings, say: Callable[[str], object] = print) -> None:
    """Serves a study until it is interrupted; served again on the same folder, every conversation goes on.

    Args:
        settings: of the study.
        agent: an `Agent`, or a function of the transcript (`usersim_env.study.agents.AgentFunction`).
        server: where it listens.
        say: is told the addresses.

    Raises:
        UsageError: the folder, the address or the agent will not do.
    """
    asyncio.run(_serve(Study(settings, agent_side(agent)), server, say))


async def _serve(study: Study, server: ServerSettings, say: Callable[[str], object]) -> None:
    try:
        listening = listen(server.host, server.port)
    except OSError as error:
        study.close()
        raise UsageError(f"Cannot listen at {server.host}:{server.port}: {error.strerror}. Is it in use?") from None
    origin = server.origin(listening.getsockname()[1])
    token = admin_token(study.settings.folder)
    most = server.connections or room_for(raise_descriptor_limit())
    connections = Connections(most, server.connections_per_address, server.proxies())
    app = study_app(study, token, origin, server, connections)
    quiet("asyncio")  # it says for each connection that it could not take where the process has no files left
    running = uvicorn.Server(uvicorn_config(app, 2, connections, server.proxies()))
    try:
        study.resume()
    except UsageError:
        study.close()
        listening.close()
        raise
    watching = asyncio.create_task(study.watch())
    for line in study.agreements():
        say(line)
    say(f"Study: {origin}/")
    say(f"Admin: {origin}/admin#token={token}")
    # Before uvicorn's own, which puts these back and raises the signal again when it is done.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, running)
    try:
        await running.serve([listening])
    finally:
        watching.cancel()
        study.close()
        listening.close()


def _stop(running: uvicorn.Server) -> None:
    running.should_exit = True


def study_app(study: Study, token: str, origin: str, server: ServerSettings, connections: Connections) -> ASGIApp:
    """The whole app.

    Args:
        study: what it serves.
        token: of the admin page.
        origin: ``https://host`` of its pages.
        server: the limits of what one network address may do.
        connections: counts those of the server.
    """
    per_minute = server.joins_per_minute
    routes = [
        *_welcome_routes(study, origin, Buckets(per_minute / 60, per_minute), Doorkeeper(study, server)),
        *person_routes(study.find, {origin}, connections),
        *admin_routes(study, token),
    ]
    return app_of(routes)


def _welcome_routes(study: Study, origin: str, rate: Buckets, door: Doorkeeper) -> list[BaseRoute]:
    settings = study.settings

    async def page(request: Request) -> Response:
        return static("index.html")

    async def welcome(request: Request) -> Response:
        texts = {"title": settings.title, "consent": study.present.text, "rules": study.rules}
        texts["version"] = study.present.version
        problem = study.problem(dict(request.query_params))
        return JSONResponse(texts | {"minutes": settings.minutes, "problem": problem})

    async def join(request: Request) -> Response:
        if not same_origin(request, {origin}):
            return JSONResponse({"error": "This comes from another site."}, 403)
        if not rate.take(peer(request)):
            return JSONResponse({"error": "Too many people at once. Please try again in a minute."}, 429)
        try:
            given = await asyncio.wait_for(_body(request), PATIENCE)
        except asyncio.TimeoutError:
            return JSONResponse({"error": "That took too long. Please try again."}, 408)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except _TooLong:
            return JSONResponse({"error": f"Expected at most {MAX_BODY} bytes."}, 413)
        if not isinstance(given, dict) or not isinstance(given.get("query"), dict):
            return JSONResponse({"error": "Expected an object with query and consent."}, 400)
        if given.get("consent") is not True:
            return JSONResponse({"error": "Please agree first, or close this page."}, 400)
        try:
            token = await door.join(peer(request), given["query"], str(given.get("version")))
            return JSONResponse({"address": f"/s/{token}"})
        except ConsentChanged as error:
            return JSONResponse({"error": str(error), "changed": True}, 409)
        except CannotJoin as error:
            return JSONResponse({"error": str(error)}, 409)

    async def health(request: Request) -> Response:
        saving = study.store.saving.trouble is None
        return JSONResponse(
            {"status": "ok" if saving else "not saving", "open": len(study.live)}, 200 if saving else 503
        )

    return [
        Route("/", page),
        Route("/welcome", welcome),
        Route("/join", join, methods=["POST"]),
        Route("/health", health),
    ]


class _TooLong(Exception):
    pass


async def _body(request: Request) -> Any:
    """The JSON of a request; ``None`` if it is none."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise _TooLong
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
