"""Hostile frames: each is refused with its code, is logged once, and disturbs nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.study.attack import (
    attack,
    attacked,
    close_code,
    frame,
    good_action,
    handshake,
    logged,
    prolific,
    raw,
    reply,
    sitting_of,
    study,
    valid,
    without_rates,
)
from tests.study.people import ANSWERS, ConnectionClosed, Person, Server
from usersim_env.person import sockets, transport
from usersim_env.person.limits import BAD_FRAMES, MAX_FRAME, MAX_TABS, OncePerMinute
from usersim_env.study import database

COUNT, AT_ONCE = 10_000, 50
CODES = {"stale", "not_your_turn", "empty", "too_long", "incomplete", "bad_frame"}
Draw = random.Random

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 40, 10**300, -1.5, 1e308, "", " ", "x", "\x00", "\u202e", "🙂", "é" * 90),
    *([], {}, [[]], [1], {"a": 1}, {"": ""}, ["say"], {"do": "say"}, "say", "stop", "survey", "__proto__", "id"),
    *("a" * 65, "a" * 5_000, "<script>alert(1)</script>", "../../etc/passwd", "' OR 1=1 --", "NaN", "null", "\r\n"),
)
RAW = (
    *(
        "",
        " ",
        "null",
        "true",
        "0",
        '"say"',
        "[]",
        "{}",
        "NaN",
        "Infinity",
        "-",
        "{",
        "}",
        '{"',
        "\ufeff{}",
        "\x00",
    ),
    *("[" * 30_000, '{"a":' * 10_000, "[" * 500 + "]" * 500, "1" * 60_000, "-" * 60_000, "1e999999", "0x10"),
    *('{"id": "a", "id": 7}', '{"id": "\\ud800", "do": "say"}', '{"id":"m","do":"say","text":"\\udfff","seen":0}'),
    *('{"id":"m","do":"say","text":"half \\ud83d","seen":1}', '{"__proto__": {"do": "say"}, "id": "m"}', "\u2028"),
    *(b"", b"\x00", b"\xff\xfe", b'{"id": "m", "do": "leave"}', bytes(range(256)) * 4),
)


def mutated(rng: Draw, number: int, seen: int) -> str | bytes:
    """A move with something wrong in it, mostly; never one that ends the conversation."""
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(RAW)
    move: dict[str, Any] = {
        "id": f"fuzz-{number}",
        "do": rng.choice(["say", "survey"]),
        "text": "Hm.",
        "seen": seen + 1,
    }
    if move["do"] == "survey":
        move["answers"] = dict(ANSWERS)
    if kind < 0.2 and seen:
        return json.dumps(move | {"do": "say", "seen": seen})  # a good one among them
    for _ in range(rng.randint(1, 3)):
        field = rng.choice([*move, "extra"])
        change = rng.random()
        if change < 0.25:
            move.pop(field, None)
        elif field == "answers" and change < 0.8:
            answers = move["answers"] = dict(ANSWERS)
            answers[rng.choice([*answers, "extra", ""])] = rng.choice(JUNK)
        else:
            move[field] = rng.choice(JUNK)
    if move.get("do") == "stop":
        move["seen"] = -1
    text = json.dumps(move, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:  # truncated, or a character exchanged
        at = rng.randrange(len(text))
        text = text[:at] + (chr(rng.randrange(1, 0xD800)) + text[at + 1 :] if rng.random() < 0.5 else "")
    return text if rng.random() < 0.95 else text.encode()


def said_by(person: Person) -> list[str]:
    return [m["text"] for m in person.messages if m["role"] == "user"]


async def answer(person: Person) -> dict[str, Any]:
    while (frame := await person.read())["type"] == "state":
        pass
    return frame


async def shown(person: Person, messages: int) -> None:
    while len(person.messages) < messages:
        await person.read()


async def until_closed(person: Person, content: str | bytes | None = None) -> tuple[list[str], int | None]:
    """Sends a content again and again; the codes that came, and that of the end."""
    codes: list[str] = []
    while len(codes) < 1_000:
        try:
            if content is not None:
                await person.send(content)
            codes.append((await answer(person))["code"])
        except ConnectionClosed as closed:
            return codes, closed.rcvd.code if closed.rcvd is not None else None
    raise AssertionError("the connection is still open")


def test_ten_thousand_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = Draw("frames")

    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("fuzz"))
        await person.open()
        acked: set[str] = set()
        codes: set[str] = set()
        number = 0
        while number < COUNT:
            await person.until("agent" if not person.messages else "you", "you")
            batch = [mutated(rng, number + k, len(person.messages)) for k in range(AT_ONCE)]
            number += AT_ONCE
            for text in batch:
                await person.send(text)
            answers = 0
            while answers < AT_ONCE:
                answer = await person.read()
                if answer["type"] == "ack":
                    acked.add(answer["id"])
                elif answer["type"] == "refused":
                    codes.add(answer["code"])
                answers += answer["type"] != "state"
            while person.phase == "agent" or len(said_by(person)) < len(acked):
                await person.read()
        assert codes == CODES
        stored = database.read_events(server.study.store.connection, sitting_of(person.address))
        said = [event for _, event in stored if event["event"] == "say"]
        assert len(said) == len(acked) > 50, "each acknowledged move is stored once"
        assert said_by(person) == [event["content"] for event in said]
        assert (await person.say("I am still here."))["type"] == "ack"
        await person.close()

    with without_rates():
        attack(scenario, study(tmp_path))
    assert logged(caplog) == []


def test_bad_frames_send_a_page_away_and_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("bad"))
        for content in ("{", b"\x00", "[" * 20_000):
            await person.open()
            codes, code = await until_closed(person, content)
            assert code == sockets.POLICY
            assert set(codes) == {"bad_frame"} and len(codes) <= BAD_FRAMES + 1

    attack(scenario, study(tmp_path))
    assert logged(caplog) == ["a page was sent away: 21 frames that are none of ours, or too fast"]


def test_a_flood_of_good_frames_is_slowed_down_then_sent_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("flood"))
        await person.open()
        for number in range(40):
            await person.send(valid(f"m{number}", seen=77))
        codes = [(await answer(person))["code"] for _ in range(40)]
        assert set(codes) == {"stale", "slow_down"} and 30 <= codes.count("stale") < 40
        with suppress(ConnectionClosed):
            for number in range(5_000):
                await person.send(valid(f"n{number}", seen=77))
        more, code = await until_closed(person)
        assert code == sockets.POLICY and len(more) < 100

    attack(scenario, study(tmp_path))
    assert logged(caplog) == ["a page was sent away: 21 frames that are none of ours, or too fast"]


PINGS = frame(9) * 100_000
FRAGMENTS = frame(1, b"{", final=False) + frame(0, final=False) * 100_000
BROKEN: dict[str, tuple[bytes, int]] = {
    "too large": (frame(1, b"x" * (MAX_FRAME + 1)), 1009),
    "too large in parts": (frame(1, b"x" * 40_000, final=False) + frame(0, b"x" * 40_000), 1009),
    "announced as an exabyte": (b"\x81\xff" + (1 << 60).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    "no UTF-8": (frame(1, b'{"id": "\xff\xfe"}'), 1007),
    "no mask": (frame(1, b"{}", masked=False), 1002),
    "reserved opcode": (frame(3, b"{}"), 1002),
    "reserved bit, as if compressed": (frame(1, b"{}", reserved=0x40), 1002),
    "long control frame": (frame(9, b"x" * 200), 1002),
    "continued without beginning": (frame(0, b"{}"), 1002),
    "pings without end": (PINGS, 1008),
    "pongs without end": (frame(10) * 100_000, 1008),
    "fragments without end": (FRAGMENTS, 1008),
    "no frame at all": (b"GET / HTTP/1.1\r\n\r\n", 1002),
}


def test_broken_frames_close_the_connection_with_their_code(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("broken"))
        opening = handshake(f"{address}/ws", origin=server.origin)
        for name, (content, code) in BROKEN.items():
            found = await raw(server, opening, content)
            assert found.status == 101, name
            assert close_code(found.received) == code, (name, found.received[-200:])
        person = Person(server.origin, address)
        await person.open()
        assert (await person.say("All is well."))["type"] == "ack"
        await person.close()

    attack(scenario, study(tmp_path))
    assert sorted(logged(caplog)) == [
        "Invalid UTF-8 sequence received from client.",
        "a page was sent away: control frames or fragments without end",
    ]


def test_a_replayed_move_happens_once(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        person, other = await server.person(**prolific("one")), await server.person(**prolific("two"))
        await person.open()
        await other.open()
        first, second = valid("m1", text="My order."), valid("m2", text="And another.", seen=2)
        for count, content in [(2, first), (4, second)]:
            await person.send(content)
            assert (await answer(person))["type"] == "ack"
            await shown(person, count)
        seen = list(person.messages)
        other_words = valid("m1", text="Other words under a known id.", seen=4)
        for content, expected in [
            *((second, "ack"), (first, "ack"), (other_words, "ack")),  # heard, once: nothing happens again
            *((valid("m3", seen=0), "stale"), (valid("m3", seen=3), "stale"), (valid("m3", seen=99), "stale")),
        ]:
            await person.send(content)
            found = await answer(person)
            assert expected in (found["type"], found.get("code"))
        stored = database.read_events(server.study.store.connection, sitting_of(person.address))
        assert sum(event["event"] == "say" for _, event in stored) == 2
        await other.send(first)  # somebody else's move counts for who sent it, and for nobody else
        await shown(other, 2)
        assert said_by(other) == ["My order."]
        assert person.messages == seen and len(seen) == 4
        for one in (person, other):
            await one.close()

    attack(scenario, study(tmp_path))


def test_foreign_forged_and_expired_addresses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address, other = await server.join(**prolific("one")), await server.join(**prolific("two"))
        mine, secret = address.split(".")
        forged = [
            f"{mine}.{other.split('.')[1]}",  # somebody else's secret
            *(mine, f"{mine}.", f"{mine}.{secret[:-1]}", f"{mine}.{secret}0", f"{mine}.{secret.upper()}"),
            *(f"{address}.{secret}", f"{address}%00", f"{address}%0A", f"/s/.{secret}", "/s/%F0%9F%99%82", "/s/a.b"),
            f"{mine}.{secret[:-1]}{'0' if secret[-1] != '0' else '1'}",
        ]
        for path in forged:
            (await raw(server, handshake(f"{path}/ws", origin=server.origin))).check(404)
            status, content, _ = await server.ask(f"{path}/status")
            assert (status, content) == (404, {"error": "There is no conversation at this address."})
        left, done = Person(server.origin, address), await server.person(**prolific("done"))
        for person in (left, done):
            await person.open()
            await person.say("Hello.")
            await person.until("you")
        await left.move("leave")
        await done.move("stop", text="")
        await done.fill_survey()
        for person in (left, done):
            assert (await server.ask(f"{person.address}/status"))[0] == 200
            server.study.settings.__dict__["address_hours"] = 1e-9
            assert (await server.ask(f"{person.address}/status"))[0] == 410
            (await raw(server, handshake(f"{person.address}/ws", origin=server.origin))).check(410)
            server.study.settings.__dict__["address_hours"] = 1.0
            await person.close()
        assert (await server.ask(f"{other}/status"))[0] == 200

    attack(scenario, study(tmp_path))
    assert sorted(logged(caplog)) == [
        "answered 404 to GET, /s, from 127.0.0.1",
        "answered 404 to socket, /s, from 127.0.0.1",
    ]


def test_many_tabs_and_connections_of_one_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        address = await server.join(**prolific("tabs"))
        tabs = [Person(server.origin, address) for _ in range(10)]
        for tab in tabs:
            await tab.open()
        for tab in tabs[:-MAX_TABS]:
            with pytest.raises(ConnectionClosed) as closed:
                await tab.read()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == sockets.TOO_MANY_TABS
        assert (await tabs[-1].say("From the last one."))["type"] == "ack"
        for tab in tabs[-MAX_TABS:]:
            await shown(tab, 2)
            assert said_by(tab) == ["From the last one."]
            await tab.close()
        opening = handshake(f"{address}/ws", origin=server.origin)
        answers = await asyncio.gather(*(raw(server, opening, frame(8)) for _ in range(60)))
        statuses = [found.status for found in answers]
        assert set(statuses) == {101, 429} and statuses.count(429) >= 30
        next(found for found in answers if found.status == 429).check(429)

    attack(scenario, study(tmp_path))
    assert logged(caplog) == ["answered 429 to socket, /s, from 127.0.0.1"]


async def _wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def test_a_page_that_reads_nothing_is_let_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def wordy(messages: Any, info: Any) -> dict[str, Any]:
        return reply("w" * 50_000) if messages[-1]["content"] == "More." else good_action(messages, info)

    async def scenario() -> None:
        async with attacked(study(tmp_path, tasks=("mock/test/2",)), wordy) as server:
            person = await server.person(**prolific("deaf"))
            await person.open()
            for _ in range(160):  # eight megabytes, more than any buffer on the way
                await person.say("More.")
                await person.until("you")
            await person.close()
            session = server.study.live[sitting_of(person.address)].session
            await _wait(lambda: not session.connections)
            host, port = server.origin.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(handshake(f"{person.address}/ws", origin=server.origin))
            await _wait(lambda: bool(session.connections))
            await _wait(lambda: not session.connections)
            writer.transport.abort()

    with without_rates(), patch.object(sockets, "PATIENCE", 0.5), patch.object(transport, "PATIENCE", 1.0):
        asyncio.run(scenario())
    # Where the system itself cuts the connection, there may be nothing to say.
    assert logged(caplog) in ([], ["a page was let go: it did not read what it was sent"])


def test_a_message_passes_once_a_minute_and_says_how_many_did_not(caplog: pytest.LogCaptureFixture) -> None:
    logger, once = logging.getLogger("test.once"), OncePerMinute()
    logger.addFilter(once)
    with patch("usersim_env.person.limits.time.monotonic", side_effect=[1, 2, 3, 4, 62, 63]):
        for text in ("a %s", "a %s", "b %s", "a %s", "a %s", "a %s"):
            logger.warning(text, "word")
    logger.removeFilter(once)
    assert logged(caplog) == ["a word", "b word", "a word (2 more like this were not logged)"]
