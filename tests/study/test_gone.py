"""People who leave or are deleted in every phase, while the server is killed and others read its file: nothing is left.

A small one runs always; the large one is slow and belongs to `make study-proofs`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.study.crowd import Measured, Participant, differences
from tests.study.people import ANSWERS
from tests.study.serving import ServerProcess
from tests.study.test_kills import AGENTS, Killing
from usersim_env.study import database
from usersim_env.study.deletion import forget_person
from usersim_env.study.export import export_study
from usersim_env.traces.file import read_traces

PHASES = ("before the first word", "after two turns", "while the agent answers", "at the survey", "at the end")


class Goer(Participant):
    """Somebody who is to be gone from a certain phase on."""

    async def reach(self, phase: str) -> None:
        """Takes part until then."""
        await self.join()
        await self.await_phase("you", "survey")
        if phase == PHASES[0]:
            return
        for number in (1, 2):
            await self.turn(self.text(number))
        if phase == PHASES[2]:
            await self.insist("say", text=self.text(3), seen=len(self.messages))
        elif phase in PHASES[3:]:
            await self.insist("stop", text=f"Bye ({self.name})", seen=len(self.messages))
            await self.await_phase("survey")
        if phase == PHASES[4]:
            await self.insist("survey", answers=ANSWERS)
            await self.await_phase("done")
            self.code = self.state["ending"]["code"]

    async def leave(self) -> None:
        """Presses the button as often as it takes: after a kill nobody may know what became of it."""

        async def ask() -> None:
            while self.phase not in ("done", "closed"):
                answer = await self.move("leave")
                assert answer["type"] == "ack" or answer["code"] == "over", answer
                await self.until("done", "closed")

        await self.there(ask)


@dataclass
class Departures:
    """A study that some leave and others stay in.

    Attributes:
        server: of the study.
        goers: who is gone at the end.
        stayers: who is not.
        counts: what happened.
    """

    server: ServerProcess
    goers: list[Goer] = field(default_factory=list)
    stayers: list[Participant] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self, going: int, staying: int, kills: int, at_once: int) -> None:
        """All of it, with an open reader now and then."""
        killing, measured = Killing(self.server, seed=going), Measured()
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.wait)
        ending = asyncio.create_task(killing.kill(kills, 1.5))
        over = threading.Event()
        reading = asyncio.create_task(asyncio.to_thread(self._read, over))
        self.goers = [Goer(self.server.origin, f"goer{n}x", measured) for n in range(going)]
        self.stayers = [Participant(self.server.origin, f"stayer{n}x", measured) for n in range(staying)]
        room = asyncio.Semaphore(at_once)
        rng = random.Random(going)

        async def stay(person: Participant) -> None:
            async with room:
                await person.take_part(4, lambda: rng.uniform(0, 0.3))

        async def go(number: int, person: Goer) -> None:
            async with room:
                await self._go(person, PHASES[number % 5], by_command=number % 5 == 4 or number // 5 % 2 == 0)

        both = [*(go(n, person) for n, person in enumerate(self.goers)), *(stay(person) for person in self.stayers)]
        rng.shuffle(both)
        try:
            await asyncio.gather(ending, *both)
        finally:
            over.set()
        await reading
        self.counts["kills"] = killing.kills

    async def _go(self, person: Goer, phase: str, by_command: bool) -> None:
        await person.reach(phase)
        if by_command:
            await person.close()
            done = await asyncio.to_thread(forget_person, self.server.folder, person.name, False, 0.05)
            assert done.sittings == 1
            self.counts["deleted by the command"] += 1
            self.counts["of these, finished later"] += not done.finished
        else:
            await person.leave()
            self.counts["withdrew on the page"] += 1
        await person.close()
        self.counts[phase] += 1

    def _read(self, over: threading.Event) -> None:
        """Somebody else reads the file, half a second at a time."""
        while not over.is_set():
            reader = sqlite3.connect(self.server.folder / database.FILE)
            try:
                rows = reader.execute("SELECT event FROM events")
                rows.fetchone()
                over.wait(0.5)
                rows.close()
            finally:
                reader.close()
            self.counts["open readers"] += 1
            over.wait(0.3)


def left_of(folder: Path, goers: list[Goer]) -> list[str]:
    """Where something of these people still stands: their words, their ids, their pseudonym, their code."""
    secret = (folder / "secret").read_bytes()
    paths = [*folder.rglob("*"), folder.with_name(f"{folder.name}.log")]  # the server's own words are beside it
    files = [(path.name, path.read_bytes()) for path in paths if path.is_file()]
    found: list[str] = []
    for person in goers:
        pseudonym = hmac.new(secret, f"person\n{person.name}".encode(), hashlib.sha256).hexdigest()[:12]
        marks = [person.name, pseudonym, *([person.code] if person.code else [])]
        found += [f"{mark} of {person.name}: {name}" for name, data in files for mark in marks if mark.encode() in data]
    return found


def departed(tmp_path: Path, going: int, staying: int, kills: int, at_once: int, limit: float = 500) -> Departures:
    """Runs it, lets the server finish what is left, and looks."""
    words = ("--domain", "retail", "--per-task", "20", "--agent", f"{AGENTS}:short", "--provider", "nobody else")
    study = Departures(ServerProcess(tmp_path / "study", "--participants-from", "prolific", *words))
    try:
        asyncio.run(asyncio.wait_for(study.run(going, staying, kills, at_once), limit))
        deadline = time.monotonic() + 20
        while (left := left_of(study.server.folder, study.goers)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left == []
        export_study(study.server.folder, tmp_path / "people.jsonl")
    finally:
        study.server.stop()
    assert left_of(study.server.folder, study.goers) == []
    assert not any(person.name in (tmp_path / "people.jsonl").read_text() for person in study.goers)
    assert differences(study.stayers, read_traces(tmp_path / "people.jsonl")) == []
    return study


def test_who_leaves_is_gone_though_the_server_is_killed(tmp_path: Path) -> None:
    study = departed(tmp_path, going=10, staying=4, kills=2, at_once=14, limit=40)
    assert study.counts["kills"] == 2
    assert study.counts["deleted by the command"] + study.counts["withdrew on the page"] == 10


@pytest.mark.slow
def test_200_people_who_are_gone(tmp_path: Path) -> None:
    began = time.monotonic()
    study = departed(tmp_path, going=200, staying=60, kills=60, at_once=40)
    print(f"\n{dict(study.counts)} in {time.monotonic() - began:.0f} s; bytes of theirs in the folder afterwards: 0")
    print(f"{len(study.stayers)} others: everything there, once and in order")
