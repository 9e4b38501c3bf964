"""How many may be connected: one address does not shut out another, and what is gone is not held."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.study.attack import good_agent, study
from tests.study.people import Server, served
from usersim_env.cli import main
from usersim_env.errors import UsageError
from usersim_env.person.connections import network_of, read_networks, room_for
from usersim_env.person.settings import ServerSettings
from usersim_env.person.transport import HttpConnection

ELSEWHERE = "127.0.0.2"


def from_address(
    server: Server, source: str, path: str, accept: str = "*/*", **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Asks from another address of this machine."""
    host, port = server.origin.removeprefix("http://").split(":")
    asking = http.client.HTTPConnection(host, int(port), timeout=10, source_address=(source, 0))
    try:
        asking.request("GET", path, headers={"Accept": accept, **headers})
        answer = asking.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        asking.close()


@asynccontextmanager
async def idle(server: Server, count: int, source: str = "127.0.0.1") -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections that say nothing."""
    host, port = server.origin.removeprefix("http://").split(":")
    held = [await asyncio.open_connection(host, int(port), local_addr=(source, 0)) for _ in range(count)]
    await asyncio.sleep(0.05)
    try:
        yield [reader for reader, _ in held]
    finally:
        for _, writer in held:
            writer.transport.abort()


def test_an_address_with_too_many_connections_is_told_so_and_another_is_not_touched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(study(tmp_path), good_agent, connections_per_address=8) as server, idle(server, 8):
            status, page, headers = await asyncio.to_thread(from_address, server, "127.0.0.1", "/", "text/html")
            assert status == 429 and "from your network" in page and "<p>" in page
            assert headers["content-security-policy"] and headers["retry-after"] == "60"
            status, content, _ = await asyncio.to_thread(from_address, server, "127.0.0.1", "/welcome")
            assert status == 429 and "from your network" in json.loads(content)["error"]
            assert (await asyncio.to_thread(from_address, server, ELSEWHERE, "/", "text/html"))[0] == 200
        async with served(study(tmp_path), good_agent, connections_per_address=8) as server:
            async with idle(server, 8):
                pass
            await asyncio.sleep(0.05)
            assert (await server.ask("/health"))[0] == 200, "those that are gone still count"

    asyncio.run(scenario())


def test_a_full_server_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(study(tmp_path), good_agent, connections=8) as server, idle(server, 8):
            status, page, _ = await asyncio.to_thread(from_address, server, ELSEWHERE, "/", "text/html")
            assert status == 503 and "as many visitors as it can take" in page

    asyncio.run(scenario())


def test_a_page_that_is_open_counts_until_it_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(study(tmp_path), good_agent, connections_per_address=2) as server:
            people = [await server.person() for _ in range(2)]
            for person in people:
                await person.open()
            assert (await asyncio.to_thread(from_address, server, "127.0.0.1", "/health"))[0] == 429
            await people[0].close()
            await asyncio.sleep(0.1)
            assert (await asyncio.to_thread(from_address, server, "127.0.0.1", "/health"))[0] == 200

    asyncio.run(scenario())


def test_behind_a_trusted_proxy_each_client_is_counted_apart(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"connections_per_address": 2, "trusted_proxies": ["127.0.0.0/8"]}

    async def scenario() -> None:
        async with served(study(tmp_path), good_agent, **limits) as server, idle(server, 5):
            address = "ws" + (server.origin + await server.join()).removeprefix("http") + "/ws"

            def page(client: str) -> Any:
                return connect(address, origin=server.origin, additional_headers={"X-Forwarded-For": client})  # type: ignore[arg-type]

            async with page("192.0.2.1"), page("192.0.2.1"):
                with pytest.raises(InvalidStatus, match="429"):
                    async with page("192.0.2.1"):
                        pass
                async with page("192.0.2.2"):
                    pass
            await asyncio.sleep(0.05)
            async with page("192.0.2.1"):
                pass

    asyncio.run(scenario())


def test_a_stranger_is_not_believed_whom_it_asks_for(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"joins_per_minute": 1, "trusted_proxies": ["127.0.0.5"]}

    async def scenario() -> None:
        async with served(study(tmp_path), good_agent, **limits) as server:
            statuses = []
            for client in ("192.0.2.1", "192.0.2.2"):
                agreed = server.agreed({})
                statuses.append(
                    (await server.ask("/join", agreed, origin=server.origin, **{"X-Forwarded-For": client}))[0]
                )
            assert statuses == [200, 429]

    asyncio.run(scenario())


def test_a_connection_that_is_gone_is_held_by_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(study(tmp_path), good_agent) as server:
            for _ in range(30):
                await server.ask("/health")
            person = await server.person()
            await person.open()  # whose connection is no HTTP any more
            await asyncio.sleep(0.1)
            gc.collect()
            held = [found for found in gc.get_objects() if isinstance(found, HttpConnection)]
            assert len(held) <= 2, f"{len(held)} connections are still in memory"

    asyncio.run(scenario())


def test_one_visitor_cannot_take_all_places_of_a_study_with_a_link(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits: dict[str, Any] = {"public_url": "http://study.example.org", "trusted_proxies": ["127.0.0.1"]}
        async with served(study(tmp_path, participants_from="link", per_task=4), good_agent, **limits) as server:

            async def join(client: str) -> tuple[int, Any]:
                status, content, _ = await server.ask(
                    "/join", server.agreed({}), origin=server.origin, **{"X-Forwarded-For": client}
                )
                return status, content

            places = 4 * len(server.study.tasks)
            allowed = min(10, places // 2)
            several = [await join("192.0.2.1") for _ in range(places)]
            assert [status for status, _ in several] == [200] * allowed + [409] * (places - allowed)
            assert "Other conversations from your network" in several[-1][1]["error"]
            assert (await join("192.0.2.2"))[0] == 200
            sitting = several[0][1]["address"].removeprefix("/s/").partition(".")[0]
            server.study.live[sitting].leave()
            server.study.live.pop(sitting)
            assert (await join("192.0.2.1"))[0] == 200

    asyncio.run(scenario())


def test_many_at_the_same_moment_get_no_more_places_either(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = study(tmp_path, participants_from="link", per_task=4)
        async with served(settings, good_agent, open_per_address=3) as server:
            asked = (server.ask("/join", server.agreed({}), origin=server.origin) for _ in range(12))
            assert sorted(status for status, _, _ in await asyncio.gather(*asked)) == [200] * 3 + [409] * 9

    asyncio.run(scenario())


def test_the_network_of_a_client() -> None:
    assert network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("no address") == "no address"


def test_limits_that_are_none() -> None:
    for name in ("connections", "connections_per_address", "open_per_address"):
        with pytest.raises(UsageError, match=f"{name} is a whole number of at least 1, got 0"):
            ServerSettings(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"such as 10\.0\.0\.2 or 10\.0\.0\.0/8, got 'a proxy'"):
        ServerSettings(trusted_proxies=["a proxy"])
    assert room_for(1024) == 768 and room_for(1 << 16) == 4000
    assert [str(network) for network in read_networks(["10.1.2.3", "10.0.0.7/8"])] == ["10.1.2.3/32", "10.0.0.0/8"]
    assert ServerSettings().proxies() == () and ServerSettings(public_url="https://a.example").proxies() != ()


def test_the_command_says_what_is_wrong_with_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["serve", "--domain", "mock", "--agent", "clerk", "--out", str(tmp_path), "--trusted-proxy", "10.0.0.0/99"]
    assert main(words) == 2
    assert "got '10.0.0.0/99'" in capsys.readouterr().err
