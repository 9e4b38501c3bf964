"""Half of a thing done: a page cut off while its move is stored, a store that cannot, a server killed as it begins."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.study.people import ConnectionClosed, Person, served
from tests.study.proof_agents import at_once
from usersim_env.agent import Action
from usersim_env.person.limits import MAX_TABS
from usersim_env.person.settings import StudySettings
from usersim_env.study import database
from usersim_env.study.admin import admin_token
from usersim_env.study.store import Job, Store
from usersim_env.study.study import CannotJoin


def test_a_move_that_is_being_stored_when_its_page_is_closed_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Store._run

    async def late(self: Store, job: Job) -> None:
        await run(self, job)
        await asyncio.sleep(0.2)  # as on a disk that is slow to say that it has written

    async def main() -> None:
        async with served(StudySettings("mock", tmp_path), at_once) as server:
            person = await server.person()
            await person.open()
            await person.until("you")
            monkeypatch.setattr(Store, "_run", late)
            move: dict[str, Any] = {"id": "m1", "do": "say", "text": "hello", "seen": 0}
            await person.send(move)
            await asyncio.sleep(0.05)
            tabs = [Person(server.origin, person.address) for _ in range(MAX_TABS)]
            for tab in tabs:
                await tab.open()
            with pytest.raises(ConnectionClosed):  # it was the oldest of too many
                await person.until("nothing")
            await tabs[-1].send(move)  # the page does not know whether it has arrived, and sends it again
            while (frame := await tabs[-1].read())["type"] == "state":
                pass
            assert frame == {"type": "ack", "id": "m1"}
            await tabs[-1].until("you")
            assert [m["text"] for m in tabs[-1].messages] == ["hello", "1. hello [0.000 s]"]
            assert (await tabs[-1].say("again"))["type"] == "ack"
            for tab in tabs:
                await tab.close()

    asyncio.run(main())


def test_an_empty_file_of_a_token_is_never_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        admin_token(tmp_path)
    assert not (tmp_path / "admin-token").exists(), "an empty token would let everybody in"
    monkeypatch.undo()
    assert len(admin_token(tmp_path)) > 30 and admin_token(tmp_path) == admin_token(tmp_path)


def full(connection: sqlite3.Connection, *rest: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_who_cannot_leave_for_now_is_still_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = asyncio.Event()

    async def waits(messages: list[dict[str, Any]], info: Mapping[str, Any]) -> Action:
        await answers.wait()
        return await at_once(messages, info)

    async def main() -> None:
        async with served(StudySettings("mock", tmp_path, withdrawal="keep"), waits) as server:
            person = await server.person()
            await person.open()
            assert (await person.say("hello"))["type"] == "ack"
            with monkeypatch.context() as patch:
                patch.setattr(database, "put_events", full)
                assert (await person.move("leave"))["code"] == "not_saved"
            answers.set()
            await person.until("you")
            assert person.messages[-1]["text"] == "1. hello [0.000 s]"
            assert (await person.move("leave"))["type"] == "ack" and person.phase == "closed"
            await person.close()

    asyncio.run(main())


def test_two_visits_at_once_are_both_told_that_the_place_was_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = {"PROLIFIC_PID": "a", "STUDY_ID": "b", "SESSION_ID": "c"}

    async def main() -> None:
        async with served(StudySettings("mock", tmp_path, participants_from="prolific"), at_once) as server:
            join, text = server.study.join, server.study.present.version
            with monkeypatch.context() as patch:
                patch.setattr(database, "put_sitting", full)
                found = await asyncio.gather(join(visit, text), join(visit, text), return_exceptions=True)
            assert [type(x) for x in found] == [CannotJoin, CannotJoin]
            assert await join(visit, text) == await join(visit, text)

    asyncio.run(main())
