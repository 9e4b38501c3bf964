"""A page that is cut off while its move is being stored: the move is taken once, and the conversation goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.study.people import ConnectionClosed, Person, served
from tests.study.proof_agents import at_once
from usersim_env.study.limits import MAX_TABS
from usersim_env.study.settings import StudySettings
from usersim_env.study.store import Job, Store


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
                while True:
                    await person.read()
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
