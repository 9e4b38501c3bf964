"""Hostile requests: origins, paths, methods, protocols, bodies, the admin page. Refused, and logged once."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import stat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.study.attack import (
    Answer,
    attack,
    attacked,
    frame,
    good_agent,
    handshake,
    http,
    logged,
    prolific,
    raw,
    study,
)
from tests.study.people import TOKEN, Server
from usersim_env.errors import UsageError
from usersim_env.person import transport
from usersim_env.person.limits import MAX_BODY
from usersim_env.study import server as server_module
from usersim_env.study.admin import FILE, admin_token
from usersim_env.study.agents import agent_side
from usersim_env.study.study import Study

JOIN = json.dumps({"query": {}, "consent": True}).encode()
API = ("/admin/api/overview", "/admin/api/sessions/x", "/admin/api/export")


def origins(own: str) -> list[str]:
    port = own.rsplit(":", 1)[1]
    return [
        *("null", "", "*", "http://evil.example", f"http://evil.example:{port}", own.replace("http", "https")),
        *(f"{own}0", f"{own}/", f"{own}.evil.example", f"{own}@evil.example", own.upper(), f" {own}x", "file://"),
        *(f"http://localhost:{port}", "http://127.0.0.1", f"{own}, http://evil.example", f"http://evil.example, {own}"),
    ]


def test_another_origin_may_neither_join_nor_listen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("one"))
        before = len(server.study.records)
        for origin in [None, *origins(server.origin)]:
            headers = [] if origin is None else [f"Origin: {origin}"]
            (await raw(server, http("POST", "/join", *headers, body=JOIN))).check(403)
            (await raw(server, handshake(f"{address}/ws", *headers))).check(403)
        assert len(server.study.records) == before

    attack(scenario, study(tmp_path))
    assert logged(caplog) == [
        "answered 403 to POST, /join, from 127.0.0.1",
        "answered 403 to socket, /s, from 127.0.0.1",
    ]


UP = ("..", "%2e%2e", "%252e%252e", "..%2f..", "..%5c..", "..\\..", "%c0%ae%c0%ae", "....", "..%00", "%00", "..;")
AIMS = ("etc/passwd", "study.sqlite", "secret", "admin-token", "web.py", "index.html")
ROUTES = ("/page/", "/s/", "/", "/admin/", "/admin/api/sessions/", "/page/%2e/")


def test_no_path_leads_to_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [f"{route}{up}/{aim}" for route in ROUTES for up in UP for aim in AIMS]
    paths += [f"{route}{up}%2f{up}%2f{aim}" for route in ROUTES for up in UP[:3] for aim in AIMS]
    paths += [
        "/page//etc/passwd",
        "//etc/passwd",
        "/page/file:///etc/passwd",
        "/page/C:\\study.sqlite",
        "/page/",
        "/s/",
    ]

    async def scenario(server: Server) -> None:
        found = [await raw(server, http("GET", path)) for path in paths]
        for path, answer in zip(paths, found, strict=True):
            # An address of any form has the same page, which holds nothing; the admin's data want a token first.
            if answer.status == 200:
                assert answer.headers["content-type"] == "text/html; charset=utf-8" and path.startswith("/s/"), path
            else:
                answer.check(401, 404, 429)
            assert not any(word in answer.body for word in (b"root:", b"SQLite", b"import ", TOKEN.encode())), path
            assert server.study.store.secret not in answer.received

    attack(scenario, study(tmp_path))
    lines = logged(caplog)
    assert len(lines) == len(set(lines)) <= 7 and "answered 404 to GET, /page, from 127.0.0.1" in lines
    assert not any(aim in line for aim in AIMS for line in lines)


def test_other_methods_and_protocols(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("one"))
        places = ["/welcome", "/health", f"{address}/status", *API]
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "X" * 2_000):
            for path in places:
                (await raw(server, http(method, path))).check(405)
        for method in ("GET", "PUT", "HEAD"):
            (await raw(server, http(method, "/join"))).check(405)
            (await raw(server, http(method, f"{address}/ws"))).check(404)
        for path in (
            "/",
            "/join",
            "/welcome",
            "/health",
            "/admin",
            *API,
            "/page/page.js",
            address,
            f"{address}/status",
        ):
            (await raw(server, handshake(path, origin=server.origin))).check(404)
        status = f"{address}/status"
        assert (await raw(server, http("GET", status, version="1.0"))).check(200).body == b'{"open":true}'
        (await raw(server, http("GET", f"{address}/ws", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))).check(404)
        (await raw(server, handshake(status, Upgrade="h2c"), wait=0.7)).check(200)
        ws = f"{address}/ws"
        own = server.origin
        (await raw(server, handshake(ws, origin=own, Sec_WebSocket_Version="8"))).check(400, 426)
        (await raw(server, handshake(ws, origin=own, Sec_WebSocket_Version=""))).check(400)
        (await raw(server, handshake(ws, origin=own, Sec_WebSocket_Key=""))).check(400)
        (await raw(server, handshake(ws, origin=own, Sec_WebSocket_Key="<script>"))).check(400)
        posted = await raw(server, handshake(ws, origin=own).replace(b"GET ", b"POST "))
        if posted.received:  # websockets before 17 (Python 3.10) just hangs up
            posted.check(405)
        found = await raw(server, handshake(ws, origin=own, Sec_WebSocket_Extensions="permessage-deflate"), frame(8))
        assert found.status == 101 and "sec-websocket-extensions" not in found.headers

    attack(scenario, study(tmp_path))
    lines = logged(caplog)
    assert len(lines) == len(set(lines)) <= 24 and not any("script" in line or "X" in line for line in lines)


GARBAGE = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    "http/0.9": b"GET /\r\n\r\n",
    "no version": b"GET / HTTP/x\r\n\r\n",
    "endless line": b"GET /" + b"a" * 200_000,
    "endless headers": b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 50_000,
    "nul": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no ASCII": "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: x\r\n\x0bfolded: y\r\n\r\n",
    "two lengths": b"POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below zero": b"POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "unknown encoding": b"POST /join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
}


def test_what_is_no_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        for content in GARBAGE.values():
            (await raw(server, content)).check(400, 501)
        # Two requests, read as HTTP/1.1: one for an unknown address, and one that is none.
        (await raw(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).check(404, answers=2)

    attack(scenario, study(tmp_path))
    refused = "answered 404 to another method, some other address, from 127.0.0.1"
    assert sorted(logged(caplog)) == ["Invalid HTTP request received.", refused]


def test_garbage_after_an_early_answer_is_not_answered_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def scenario(server: Server) -> None:
        (await raw(server, head, b"no chunk\r\n")).check(403)  # no origin: answered before the body is there
        own = head[:-2] + f"Origin: {server.origin}\r\n\r\n".encode()
        assert (await raw(server, own + b"no chunk\r\n")).received == b""
        smuggled = http("GET", API[0])
        found = await raw(server, head.replace(b"chunked", b"chunked\r\nContent-Length: 4") + b"0\r\n\r\n" + smuggled)
        assert found.received.count(b"HTTP/1.1 200") == 0

    attack(scenario, study(tmp_path))
    assert "Invalid HTTP request received." in logged(caplog)
    assert not [record for record in caplog.records if record.exc_info], "a traceback"


def test_nothing_of_a_request_comes_back_in_a_header(tmp_path: Path) -> None:
    hosts = ("evil.example", "evil.example:80", "x", "<script>", "a@b")
    paths = (
        "/admin/",
        "/welcome/",
        "/%0d%0aSet-Cookie:%20a=b",
        "/s/%0d%0ax:y/status",
        "//evil.example/",
        "/join?a=%0d%0a",
    )

    async def scenario(server: Server) -> None:
        for host in hosts:
            for path in paths:
                found = await raw(server, http("GET", path).replace(b"study.example", host.encode()))
                found.check(404, 405)
                assert not {"location", "set-cookie", "x", "server"} & set(found.headers)
                assert b"evil" not in found.received and b"<script" not in found.received

    attack(scenario, study(tmp_path))


def posted(server: Server, *headers: str, body: bytes) -> bytes:
    return http("POST", "/join", f"Origin: {server.origin}", *headers, body=body)


BODIES = (b"", b"\x00", b"null", b"[]", b"{", b'"x"', b"[" * 9_000, b"1" * 9_000, b"\xff\xfe\x00", b"{}", JOIN[:-1])
WRONG: tuple[dict[str, Any], ...] = (
    *({"query": {}}, {"consent": True}, {"query": {}, "consent": "true"}, {"query": {}, "consent": 1}),
    *({"query": [], "consent": True}, {"query": "PROLIFIC_PID", "consent": True}, {"query": None, "consent": True}),
)


def test_bodies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        before = len(server.study.records)
        for content in (*BODIES, *(json.dumps(wrong).encode() for wrong in WRONG)):
            (await raw(server, posted(server, body=content))).check(400)
        (await raw(server, posted(server, body=b"x" * (MAX_BODY + 1)))).check(413)
        (await raw(server, posted(server, "Content-Encoding: gzip", body=b"\x1f\x8b\x08" + b"\0" * 50))).check(400)
        announced = posted(server, body=b"x" * 20_000).replace(b"Content-Length: 20000", b"Content-Length: 99999999999")
        (await raw(server, announced)).check(413)
        for _ in range(20):  # uploads that are broken off
            _, writer = await asyncio.open_connection(*server.origin.removeprefix("http://").split(":"))
            writer.write(posted(server, body=JOIN)[:-5])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert len(server.study.records) == before

    attack(scenario, study(tmp_path))
    lines = logged(caplog)
    assert lines[:2] == [f"answered {status} to POST, /join, from 127.0.0.1" for status in (400, 413)]
    assert len(lines) == 2 and not [record for record in caplog.records if record.exc_info]


def test_slow_requests_are_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def drip(server: Server, start: bytes) -> Answer:
        """Sends a byte now and then, as long as somebody listens."""
        reader, writer = await asyncio.open_connection(*server.origin.removeprefix("http://").split(":"))
        writer.write(start)
        received = b""
        try:
            for _ in range(200):
                writer.write(b"a")
                try:
                    chunk = await asyncio.wait_for(reader.read(4096), 0.1)
                except asyncio.TimeoutError:
                    continue
                received += chunk
                if not chunk:
                    return Answer(received)
        except ConnectionError:
            return Answer(received)
        finally:
            writer.transport.abort()
        raise AssertionError("the connection is still open")

    async def scenario() -> None:
        async with attacked(study(tmp_path)) as server:
            whole = http("GET", "/health").replace(b"Connection: close\r\n", b"")
            slow_body = posted(server, "Content-Length: 5000", body=b"").replace(b"Connection: close\r\n", b"")
            found = await asyncio.gather(
                drip(server, b""),
                drip(server, b"GET / HTTP/1.1\r\nHost: "),
                drip(server, whole + b"GET / HTTP/1.1\r\nx: "),
                drip(server, slow_body),
                *(drip(server, b"GET / HT") for _ in range(50)),
            )
            assert [answer.status for answer in found[:3]] == [0, 0, 200]
            assert found[3].status == 408

    with patch.object(transport, "PATIENCE", 0.6), patch.object(server_module, "PATIENCE", 0.6):
        asyncio.run(scenario())
    assert sorted(logged(caplog)) == [
        "a connection was closed: it sent no whole request in time",
        "answered 408 to POST, /join, from 127.0.0.1",
    ]


def test_many_connections_of_strangers(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        host, port = server.origin.removeprefix("http://").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(150)]
        assert (await server.ask("/health"))[0] == 200
        for _, writer in held:
            writer.transport.abort()

    attack(scenario, study(tmp_path))


# The admin page


def test_the_admin_data_want_the_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("one"))
        wrong = [
            *(
                "",
                "Bearer",
                "Bearer ",
                f"Bearer {address.removeprefix('/s/')}",
                f"Bearer {TOKEN[:-1]}",
                f"Bearer {TOKEN}x",
            ),
            *(TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN.upper()}", "Bearer \xe9", f"Bearer  {TOKEN}"),
        ]
        given = iter(wrong * 100)
        found = [
            await raw(server, http("GET", path, f"Authorization: {next(given)}", "Cookie: token=" + TOKEN))
            for path in [*API, f"{API[0]}?token={TOKEN}", f"{API[0]}?authorization=Bearer%20{TOKEN}"] * 8
        ]
        statuses = [answer.check(401, 429).status for answer in found]
        assert statuses[:20] == [401] * 20 and statuses.count(429) >= 15
        for answer in found:
            assert b"witness" not in answer.body and b"session" not in answer.body
        right = {"authorization": f"Bearer {TOKEN}"}  # who knows it is not locked out by those who guess
        assert (await server.ask(API[0], **right))[0] == 200
        assert (await server.ask(API[1], **right))[0] == 404

    attack(scenario, study(tmp_path))
    assert sorted(logged(caplog)) == [
        "answered 401 to GET, /admin, from 127.0.0.1",
        "answered 404 to GET, /admin, from 127.0.0.1",
        "answered 429 to GET, /admin, from 127.0.0.1",
    ]


def test_tokens_are_compared_in_constant_time(tmp_path: Path) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("one"))
        forged = address[:-1] + ("0" if address[-1] != "0" else "1")
        await server.ask(API[0], authorization="Bearer guess")
        await server.ask(f"{forged}/status")
        assert (b"Bearer guess", f"Bearer {TOKEN}".encode()) in compared
        assert (forged[3:].encode(), address[3:].encode()) in compared

    with patch.object(hmac, "compare_digest", spy), patch.object(secrets, "compare_digest", spy):
        attack(scenario, study(tmp_path))


def test_the_admin_token_is_never_empty_and_nobody_elses(tmp_path: Path) -> None:
    token = admin_token(tmp_path)
    assert len(token) >= 32 and admin_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    for short in ("", "\n", "guess"):
        (tmp_path / FILE).write_text(short)
        with pytest.raises(UsageError, match=r"expected a token of at least 16\. Remove the file"):
            admin_token(tmp_path)


def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    chosen = study(tmp_path)
    Study(chosen, agent_side(good_agent)).close()
    file = chosen.folder / "secret"
    assert len(file.read_bytes()) == 32
    for short in (b"", b"guess", file.read_bytes()[:31]):
        file.write_bytes(short)
        with pytest.raises(
            UsageError, match=f"secret holds {len(short)} bytes, expected 32: with it, anybody could guess"
        ):
            Study(chosen, agent_side(good_agent))


def test_the_study_is_for_its_owner_only(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        folder = server.study.settings.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600

    attack(scenario, study(tmp_path))


def test_no_address_stands_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    caplog.set_level("DEBUG", "usersim_env")
    addresses: list[str] = []

    async def scenario(server: Server) -> None:
        addresses.append(await server.join(**prolific("one")))
        await raw(server, handshake(f"{addresses[0]}/ws", origin=server.origin), frame(1, b"{") + frame(8))
        await raw(server, handshake(f"{addresses[0]}/ws", origin="http://evil.example"))
        await raw(server, http("DELETE", f"{addresses[0]}/status"))
        await raw(server, http("GET", addresses[0]))

    attack(scenario, study(tmp_path))
    secret = addresses[0].split(".")[1]
    server_side = [r.getMessage() for r in caplog.records if not r.name.startswith("websockets.client")]
    assert server_side and not [line for line in server_side if secret in line or TOKEN in line]
