"""What the hostile tests share: an agent that misbehaves on request, a witness beside each attack, raw connections."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.study.people import Person, Server, served
from usersim_env.domains import get_task
from usersim_env.person import sockets
from usersim_env.person.limits import Bucket
from usersim_env.person.settings import StudySettings
from usersim_env.person.web import HEADERS
from usersim_env.study.agents import Transcript

TASKS = ("mock/train/0", "mock/train/1", "mock/test/0", "mock/test/2")


def reply(text: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": text}}


def good_action(messages: Transcript, info: Mapping[str, Any]) -> dict[str, Any]:
    """What solves the task: the expected calls after the first words, then an answer that quotes the person's words."""
    calls = get_task(info["task_id"]).expected_calls
    done = sum(1 for message in messages if message["role"] == "tool")
    if done < len(calls):
        return {"name": calls[done].name, "arguments": dict(calls[done].arguments)}
    last = next(message["content"] for message in reversed(messages) if message["role"] == "user")
    return reply(f"You said {len(last)} characters.")


async def good_agent(messages: Transcript, info: Mapping[str, Any]) -> dict[str, Any]:
    return good_action(messages, info)


def study(tmp_path: Path, **changes: Any) -> StudySettings:
    fields: dict[str, Any] = {
        "domain": "mock",
        "out": tmp_path / "study",
        "tasks": TASKS,
        "per_task": 100,
        "max_steps": 100_000,
    }
    return StudySettings(**fields | changes)


class Witness:
    """An honest participant who goes on talking while somebody attacks beside them."""

    def __init__(self, server: Server, person: Person) -> None:
        self._server, self._person = server, person
        self._said: list[str] = []
        self._over = False

    async def talk(self) -> None:
        person = self._person
        while not (self._over and self._said):
            self._said.append(f"Honest words number {len(self._said)}.")
            assert (await person.say(self._said[-1]))["type"] == "ack"
            await person.until("you")
            await asyncio.sleep(0.25)  # five frames a second are allowed

    async def finish(self) -> None:
        """Ends the episode, and checks that nothing was lost and that it was scored rightly."""
        self._over = True
        person = self._person
        await person.until("you")
        assert (await person.move("stop", text=""))["type"] == "ack"
        await person.until("survey")
        assert (await person.fill_survey())["type"] == "ack"
        await person.until("done")
        assert [m["text"] for m in person.messages if m["role"] == "user"] == self._said and self._said
        assert [m["text"] for m in person.messages if m["role"] == "agent"] == [
            f"You said {len(text)} characters." for text in self._said
        ]
        record = self._server.study.records[sitting_of(person.address)]
        assert person.state["ending"]["code"] == record.code
        assert (record.state, record.reward, record.failure) == ("done", 1.0, None)
        await person.close()


def sitting_of(address: str) -> str:
    return address.removeprefix("/s/").partition(".")[0]


@asynccontextmanager
async def attacked(settings: StudySettings, agent: object = good_agent) -> AsyncIterator[Server]:
    """A served study with a witness in it; they must have come through when the attack is over."""
    async with served(settings, agent) as server:
        person = await server.person(**prolific("witness"))
        await person.open()
        witness = Witness(server, person)
        talking = asyncio.create_task(witness.talk())
        try:
            yield server
        except BaseException:
            talking.cancel()
            raise
        witness._over = True
        await asyncio.wait_for(talking, 30)
        await witness.finish()


def prolific(name: str) -> dict[str, str]:
    return {"PROLIFIC_PID": name, "STUDY_ID": "study", "SESSION_ID": f"session{name}"}


def attack(scenario: Callable[[Server], Awaitable[None]], settings: StudySettings, agent: object = good_agent) -> None:
    """Runs a scenario beside a witness."""

    async def run() -> None:
        async with attacked(settings, agent) as server:
            await scenario(server)

    asyncio.run(run())


@contextmanager
def without_rates() -> Any:
    """No limit of frames, where it is something else that is tried out."""
    with (
        patch.object(sockets, "Bucket", lambda rate, burst: Bucket(1e9, 1e9)),
        patch.object(sockets, "BAD_FRAMES", 1e9),
    ):
        yield


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What stands in the log, without traceback."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


class Answer:
    """A raw answer: everything that came until the server closed, or said no more."""

    def __init__(self, received: bytes) -> None:
        self.received = received
        head, _, self.body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1]) if first.startswith("HTTP/") else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def check(self, *statuses: int, answers: int = 1) -> Answer:
        """Answered with the right code, with our headers, so many times."""
        assert self.status in statuses, self.received[:500]
        assert {name: self.headers.get(name) for name in HEADERS} == HEADERS, self.received[:800]
        assert self.received.count(b"HTTP/1.") == answers, self.received
        return self


async def raw(server: Server, *parts: bytes, wait: float = 5.0) -> Answer:
    """Sends bytes as they are, each part when the one before was answered, and reads until the end."""
    host, port = server.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    received = b""
    try:
        for number, part in enumerate(parts):
            if number:
                received += await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), wait)
            writer.write(part)
        with suppress(asyncio.TimeoutError, ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(1 << 16), wait):
                received += chunk
    finally:
        writer.close()
        with suppress(ConnectionError, BrokenPipeError):
            await writer.wait_closed()
    return Answer(received)


def http(method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A request, with nothing in it mended."""
    lines = [f"{method} {path} HTTP/{version}", "Host: study.example", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def handshake(path: str, *headers: str, origin: str | None = None, **changes: str) -> bytes:
    """A request for a websocket."""
    fields = {
        "Host": "study.example",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    if origin is not None:
        fields["Origin"] = origin
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value), *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A websocket frame as a client sends it, or should not."""
    first = (0x80 if final else 0) | reserved | opcode
    size = len(payload)
    long = bytes([126]) + size.to_bytes(2, "big") if size < 1 << 16 else bytes([127]) + size.to_bytes(8, "big")
    length = bytes([size]) if size < 126 else long
    if not masked:
        return bytes([first]) + length + payload
    return bytes([first, length[0] | 0x80]) + length[1:] + b"\0\0\0\0" + payload


def close_code(received: bytes) -> int | None:
    """The code of the last close frame that a server sent."""
    found = re.findall(rb"\x88[\x02-\x7d](..)", received, re.DOTALL)
    return int.from_bytes(found[-1], "big") if found else None


def valid(move: str = "m", **changes: Any) -> str:
    return json.dumps({"id": move, "do": "say", "text": "Hello there.", "seen": 0} | changes)
