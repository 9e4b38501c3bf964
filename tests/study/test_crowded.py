"""One address that takes all it can get, and a newcomer from another: slow, run by `make study-proofs`."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from tests.study.people import Person
from tests.study.serving import ServerProcess
from usersim_env.person.connections import raise_descriptor_limit

ATTACKER, NEWCOMER = "127.0.0.3", "127.0.0.2"
_REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_DONE = (OSError, EOFError, asyncio.TimeoutError)


class Attack:
    """Everything that one address does, and what the server answered."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.host, self.port = origin.removeprefix("http://").split(":")
        self.held: list[asyncio.StreamWriter] = []
        self.pages: list[ClientConnection] = []
        self.answers: dict[str, int] = {}

    async def idle(self, count: int) -> None:
        """Connections that say nothing; opened again where the server has closed them."""
        for _ in range(count):
            try:
                _, writer = await asyncio.open_connection(self.host, int(self.port), local_addr=(ATTACKER, 0))
            except OSError:
                self._note("idle connection not made")
                continue
            self.held.append(writer)

    async def sockets(self, count: int, addresses: Sequence[str]) -> None:
        """Websockets of these conversations that say nothing."""
        for address in itertools.islice(itertools.cycle(addresses), count):
            try:
                page = await connect(
                    f"ws{self.origin.removeprefix('http')}{address}/ws",
                    origin=self.origin,  # type: ignore[arg-type]
                    local_addr=(ATTACKER, 0),
                    open_timeout=20,
                    compression=None,
                )
            except (InvalidHandshake, *_DONE):
                self._note("websocket refused")
                continue
            self.pages.append(page)
            self._note("websocket opened")

    async def requests(self, count: int, at_once: int) -> None:
        """Plain requests, each on a connection of its own."""
        left = count

        async def one_after_the_other() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                self._note(await self._request())

        await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))

    async def _request(self) -> str:
        try:
            reader, writer = await asyncio.open_connection(self.host, int(self.port), local_addr=(ATTACKER, 0))
            try:
                writer.write(_REQUEST)
                line = await asyncio.wait_for(reader.readline(), 30)
            finally:
                writer.transport.abort()
            return f"request answered {line.split(b' ')[1].decode()}" if line else "request closed unanswered"
        except _DONE:
            return "request not made"

    def _note(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1

    def stop(self) -> None:
        for writer in self.held:
            writer.transport.abort()
        for page in self.pages:
            page.transport.abort()


class From(Person):
    """Somebody at a certain address of this machine."""

    def __init__(self, origin: str, source: str) -> None:
        super().__init__(origin, "")
        self.source = source

    async def arrive(self, name: str) -> None:
        """Loads the page and joins."""
        await asyncio.to_thread(self._ask, "GET", "/", None)
        version = json.loads(await asyncio.to_thread(self._ask, "GET", "/welcome", None))["version"]
        query = {"PROLIFIC_PID": name, "STUDY_ID": "s", "SESSION_ID": name}
        body = json.dumps({"query": query, "consent": True, "version": version})
        self.address = json.loads(await asyncio.to_thread(self._ask, "POST", "/join", body))["address"]

    def _ask(self, method: str, path: str, body: str | None) -> bytes:
        host, port = self.origin.removeprefix("http://").split(":")
        asking = http.client.HTTPConnection(host, int(port), timeout=20, source_address=(self.source, 0))
        try:
            asking.request(method, path, body, {"Origin": self.origin})
            answer = asking.getresponse()
            content = answer.read()
        finally:
            asking.close()
        assert answer.status == 200, content
        return content

    async def open(self) -> None:
        url = self.origin.replace("http", "ws", 1) + self.address + "/ws"
        self._socket = await connect(url, origin=self.origin, local_addr=(self.source, 0))  # type: ignore[arg-type]
        self.hello = json.loads(await self._socket.recv())
        await self.read()


async def newcomer(origin: str, name: str) -> tuple[float, float]:
    """Seconds until somebody new has joined, and until their first message is acknowledged."""
    began = time.perf_counter()
    person = From(origin, NEWCOMER)
    await person.arrive(name)
    joined = time.perf_counter() - began
    await person.open()
    await person.until("you")
    assert (await person.say("Hello, I need help with my order."))["type"] == "ack"
    whole = time.perf_counter() - began
    await person.close()
    return joined, whole


@pytest.mark.slow
def test_a_newcomer_beside_an_address_that_takes_all_it_can(tmp_path: Path) -> None:
    if raise_descriptor_limit() < 4096:
        pytest.skip("this needs 4,000 open files")
    words = ("--domain", "retail", "--per-task", "20", "--agent", "tests.study.proof_agents:at_once")
    people = ("--participants-from", "prolific", "--provider", "nobody else")
    server = ServerProcess(tmp_path / "study", *words, *people, limits=())
    server.start()
    server.wait()
    try:
        asyncio.run(asyncio.wait_for(_crowded(server), 580))
        resident, peak, log = server.resident(), server.memory(), server.log.stat().st_size
    finally:
        server.stop()
    print(f"at the end: memory {resident:.0f} MB (peak {peak:.0f} MB), log {log / 1000:.1f} kB")
    assert resident < 250 and log < 1e6
    assert not re.search(r"Traceback|Too many open files", server.log.read_text())


async def _crowded(server: ServerProcess) -> None:
    attack = Attack(server.origin)
    talks = [From(server.origin, ATTACKER) for _ in range(50)]
    for number, talk in enumerate(talks):
        await talk.arrive(f"attacker{number}")

    async def beside(what: str, name: str) -> None:
        joined, whole = await newcomer(server.origin, name)
        print(
            f"\n{what}: joined after {joined:.3f} s, first message acknowledged after {whole:.3f} s; {attack.answers}"
        )
        assert whole < 2

    try:
        await beside("nobody else there", "n0")
        await attack.idle(1500)
        await beside("1,500 idle connections", "n1")
        attack.stop()
        await attack.sockets(2000, [talk.address for talk in talks])
        await beside("2,000 idle websockets", "n2")
        attack.stop()
        flood = asyncio.create_task(attack.requests(100_000, 50))
        await asyncio.sleep(5)
        await beside("in the middle of 100,000 requests", "n3")
        await flood
        await attack.idle(1500)
        flood = asyncio.create_task(attack.requests(20_000, 50))
        await asyncio.sleep(3)
        await beside("1,500 idle connections, in the middle of 20,000 requests more", "n4")
        await flood
    finally:
        attack.stop()
