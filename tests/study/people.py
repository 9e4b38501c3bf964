"""Scripted people for the study server: they speak the page's protocol over a real socket. Programs, not humans."""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection, connect

from usersim_env.feedback.survey import QUESTIONS
from usersim_env.person.connections import Connections
from usersim_env.person.local import uvicorn_config
from usersim_env.person.settings import ServerSettings, StudySettings
from usersim_env.person.transport import listen
from usersim_env.study.agents import agent_side
from usersim_env.study.server import study_app
from usersim_env.study.study import Study

TOKEN = "the-admin-token-of-the-tests"
ANSWERS = {q.field: list(q.answers)[1] for q in QUESTIONS}


def request(url: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Status, content (JSON where it is) and headers of a GET, or of a POST of a JSON body."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(asked, timeout=20) as response:
            status, content, got = response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            status, content, got = error.code, error.read(), dict(error.headers)
    try:
        return status, json.loads(content), got
    except ValueError:
        return status, content.decode("utf-8", "replace"), got


class Server:
    """A study that is being served in this process."""

    def __init__(self, study: Study, origin: str) -> None:
        self.study, self.origin = study, origin
        self.people: list[Person] = []

    async def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        return await asyncio.to_thread(request, self.origin + path, body, **headers)

    def agreed(self, query: dict[str, str]) -> dict[str, Any]:
        """What the page sends for somebody who agrees to the present text."""
        return {"query": query, "consent": True, "version": self.study.present.version}

    async def join(self, **query: str) -> str:
        """The address of a new sitting."""
        status, content, _ = await self.ask("/join", self.agreed(query), origin=self.origin)
        assert status == 200, content
        return str(content["address"])

    async def person(self, **query: str) -> Person:
        return self.at(await self.join(**query))

    def at(self, address: str) -> Person:
        """Another tab at an address; closed with the server."""
        self.people.append(Person(self.origin, address))
        return self.people[-1]


@asynccontextmanager
async def served(settings: StudySettings, agent: object, **changes: Any) -> AsyncIterator[Server]:
    """Serves a study on this loop, at a free port; `changes` are of its `ServerSettings`."""
    study = Study(settings, agent_side(agent))
    listening = listen("127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    limits = replace(ServerSettings(joins_per_minute=1e6, connections_per_address=1000), **changes)
    connections = Connections(limits.connections or 4000, limits.connections_per_address, limits.proxies())
    app = study_app(study, TOKEN, origin, limits, connections)
    running = uvicorn.Server(uvicorn_config(app, 1, connections, limits.proxies()))
    study.resume()
    task = asyncio.create_task(running.serve([listening]))
    watching = asyncio.create_task(study.watch())
    while not running.started:
        await asyncio.sleep(0.005)
    server = Server(study, origin)
    try:
        yield server
    finally:
        for person in server.people:
            await person.close()
        running.should_exit = True
        watching.cancel()
        await task
        study.close()
        listening.close()


class Person:
    """One browser tab, scripted. It behaves as the page does: one move at a time, sent again until acknowledged."""

    def __init__(self, origin: str, address: str) -> None:
        self.origin, self.address = origin, address
        self.messages: list[dict[str, str]] = []
        self.state: dict[str, Any] = {}
        self.hello: dict[str, Any] = {}
        self._ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._answers: dict[str, dict[str, Any]] = {}

    @property
    def phase(self) -> str:
        return str(self.state.get("phase"))

    async def open(self) -> None:
        url = self.origin.replace("http", "ws", 1) + self.address + "/ws"
        self._socket = await connect(url, origin=self.origin, max_size=None)  # type: ignore[arg-type]
        self.hello = json.loads(await self._socket.recv())
        await self.read()

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def read(self) -> dict[str, Any]:
        """The next frame, taken in."""
        assert self._socket is not None
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self._socket.recv(), 30))
        if frame["type"] == "state":
            self.state = frame
            self.messages[frame["from"] :] = frame["messages"]
        return frame

    async def until(self, *phases: str) -> None:
        while self.phase not in phases:
            await self.read()

    async def send(self, frame: Any) -> None:
        assert self._socket is not None
        await self._socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def move(self, do: str, **fields: Any) -> dict[str, Any]:
        """A move, and its answer; when it was taken, the state that follows from it is there too."""
        move = f"{id(self)}-{next(self._ids)}"
        await self.send({"id": move, "do": do, "seen": len(self.messages), **fields})
        while (frame := await self.read())["type"] == "state" or frame.get("id") not in (move, None):
            pass
        while frame["type"] == "ack" and self.state.get("last") != move:
            await self.read()
        return frame

    async def say(self, text: str) -> dict[str, Any]:
        return await self.move("say", text=text)

    async def fill_survey(self) -> dict[str, Any]:
        return await self.move("survey", answers=ANSWERS)


ConnectionClosed = websockets.exceptions.ConnectionClosed
