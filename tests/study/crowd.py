"""Scripted participants who behave as the page does: they come back, and send a move again until it is acknowledged.

They are programs, not humans. Each keeps what it sent, what was acknowledged and what it was shown, so that it can be
compared with what the study exports.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from websockets.exceptions import InvalidMessage

from tests.study.people import ANSWERS, ConnectionClosed, Person, request
from usersim_env.messages import RESPOND
from usersim_env.study import database
from usersim_env.traces.trace import Trace

T = TypeVar("T")
_DOWN = (ConnectionClosed, InvalidMessage, OSError, EOFError)
"""What a connection to a server that was killed raises; a refusal or a wrong frame is none of these."""


@dataclass
class Measured:
    """Of all participants: seconds, and what happened on the way."""

    acknowledged: list[float] = field(default_factory=list)
    """From a move to its acknowledgement, where it was sent once."""
    answered: list[float] = field(default_factory=list)
    """From a turn to the agent's answer on the page, less the agent's own time."""
    counts: Counter[str] = field(default_factory=Counter)


class Participant(Person):
    """One participant from joining to the completion code.

    Args:
        origin: of the server; the same after each of its restarts.
        name: of this participant, in every text that it says.
        measured: of all participants.
    """

    def __init__(self, origin: str, name: str, measured: Measured) -> None:
        super().__init__(origin, "")
        self.name, self.measured = name, measured
        self.said: list[str] = []
        """Texts that were acknowledged."""
        self.shown: list[dict[str, str]] = []
        """The conversation as the page showed it last; the page of thanks may show none."""
        self.code: str | None = None
        self._moves = 0

    # -- what the page does ----------------------------------------------------------------------------------------

    async def join(self) -> None:
        query = {"PROLIFIC_PID": self.name, "STUDY_ID": "s", "SESSION_ID": self.name}
        while True:
            try:
                _, shown, _ = await asyncio.to_thread(request, f"{self.origin}/welcome")
                body = {"query": query, "consent": True, "version": shown["version"]}
                status, content, _ = await asyncio.to_thread(request, f"{self.origin}/join", body, origin=self.origin)
            except (OSError, http.client.HTTPException):  # urllib's own errors are of the first kind
                self.measured.counts["joins sent again"] += 1
                await asyncio.sleep(0.3)
                continue
            assert status == 200, content
            self.address = content["address"]
            return

    async def there(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks over a connection, which is made where there is none, as often as it takes."""
        while True:
            try:
                if self._socket is None:
                    await self.open()
                return await ask()
            except _DOWN:
                self._socket = None
                self.measured.counts["connections lost or refused"] += 1
                await asyncio.sleep(0.3)

    async def read(self) -> dict[str, Any]:
        frame = await super().read()
        if frame["type"] == "state" and frame["phase"] not in ("done", "closed"):
            before, now = self.shown, self.messages
            assert now[: len(before)] == before, f"the page showed {before!r:.300} and then {now!r:.300}"
            self.shown = list(self.messages)
        return frame

    async def insist(self, do: str, **fields: Any) -> None:
        """One move, sent again with its id until it is acknowledged or the state says that it has arrived."""
        self._moves += 1
        move = {"id": f"{self.name}-{self._moves}", "do": do, **fields}
        sent = 0

        async def ask() -> None:
            nonlocal sent
            if self.state.get("last") == move["id"]:
                self.measured.counts["moves that had arrived though nobody said so"] += 1
                return
            sent, began = sent + 1, time.perf_counter()
            await self.send(move)
            while (frame := await self.read()).get("id") != move["id"]:
                pass
            if frame["type"] != "ack":
                raise AssertionError(f"{self.name}: {move} was refused: {frame}")
            if sent == 1:
                self.measured.acknowledged.append(time.perf_counter() - began)

        await self.there(ask)
        self.measured.counts["moves acknowledged"] += 1
        self.measured.counts["moves sent again"] += max(0, sent - 1)

    async def await_phase(self, *phases: str) -> None:
        await self.there(lambda: self.until(*phases))

    # -- what the person does --------------------------------------------------------------------------------------

    async def turn(self, text: str) -> None:
        """Says something, and waits for the agent."""
        shown, began = len(self.messages), time.perf_counter()
        await self.insist("say", text=text, seen=shown)
        self.said.append(text)
        # The state that follows from the move; then the agent's.
        await self.there(lambda: self._until_shown(shown + 1))
        await self.await_phase("you", "survey", "done", "closed")
        own = re.search(r"\[(\d+\.\d+) s\]$", self.messages[-1]["text"]) if self.messages else None
        if own is not None:
            self.measured.answered.append(time.perf_counter() - began - float(own[1]))

    async def _until_shown(self, count: int) -> None:
        while len(self.messages) < count:
            await self.read()

    async def take_part(self, turns: int, think: Callable[[], float] = lambda: 0.0) -> None:
        """The whole of it: joins, talks, stops, fills in the survey, gets the code.

        Args:
            turns: of this person, where the agent does not end the conversation before.
            think: seconds before each move.
        """
        try:
            await self._take_part(turns, think)
        finally:
            await self.close()

    async def _take_part(self, turns: int, think: Callable[[], float]) -> None:
        await self.join()
        await self.await_phase("you", "survey")
        while self.phase == "you" and len(self.said) < turns:
            await asyncio.sleep(think())
            await self.turn(self.text(len(self.said) + 1))
        if self.phase == "you":
            await asyncio.sleep(think())
            await self.insist("stop", text="", seen=len(self.messages))
        await self.await_phase("survey")
        await asyncio.sleep(think())
        await self.insist("survey", answers=ANSWERS)
        await self.await_phase("done")
        self.code = self.state["ending"]["code"]

    def text(self, number: int) -> str:
        """Words of a turn: nobody else's, and none said twice. The first tells who they are, as the task has it."""
        mark = f"({self.name}, turn {number})"
        return f"{self.hello['instruction']} {mark}" if number == 1 else f"Yes, please. {mark}"


async def crowd(participants: Sequence[Participant], turns: int, think: float, seed: int = 0) -> None:
    """All at once; each thinks for up to ``2 * think`` seconds before a move."""

    def thinking(participant: Participant) -> Callable[[], float]:
        rng = random.Random(f"{seed} {participant.name}")
        return lambda: rng.uniform(0, 2 * think)

    await asyncio.gather(*(p.take_part(turns, thinking(p)) for p in participants))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


# -- what came of it -----------------------------------------------------------------------------------------------


def differences(participants: Iterable[Participant], traces: Sequence[Trace]) -> list[str]:
    """What was lost, doubled or reordered between what was sent, what was shown and what is exported."""
    found = []
    of_person: dict[str, list[Trace]] = {}
    for trace in traces:
        first = next((e["content"] for e in trace.events if e["event"] == "say"), "")
        of_person.setdefault(first, []).append(trace)
    for person in participants:
        mine = of_person.pop(person.said[0], []) if person.said else []
        if len(mine) != 1:
            found.append(f"{person.name}: {len(mine)} traces")
        found += [f"{person.name}: {text}" for trace in mine for text in _against(person, trace)]
    return found + [f"a trace of nobody: {first[-40:]!r}" for first in of_person]


def _against(person: Participant, trace: Trace) -> Iterator[str]:
    said = [e["content"] for e in trace.events if e["event"] == "say"]
    if said != person.said:
        yield f"said {person.said!r:.500}, exported {said!r:.500}"
    talk = [
        {"role": "user", "text": e["content"]}
        if e["event"] == "say"
        else {"role": "agent", "text": e["arguments"]["content"]}
        for e in trace.events
        if e["event"] == "say" or e.get("name") == RESPOND
    ]
    if [{"role": message["role"], "text": message["text"]} for message in person.shown] != talk:
        yield f"was shown {person.shown!r:.500}, exported {talk!r:.500}"
    if trace.survey != ANSWERS or not person.code:
        yield f"survey {trace.survey}, code {person.code!r}"
    if trace.ended_by not in ("user", "transfer") or trace.reward is None:
        yield f"ended by {trace.ended_by}, reward {trace.reward}"


def stored_twice(folder: Path, traces: Sequence[Trace]) -> list[str]:
    """What the study's file holds twice, or otherwise than the export."""
    connection = database.opened(folder)
    try:
        sittings = list(database.read_sittings(connection))
        rows = connection.execute("SELECT sitting, trace FROM traces").fetchall()
        found = [f"{s.id}: {s.state}" for s in sittings if s.state != "done"]
        places = Counter((s.task, s.batch) for s in sittings)
        found += [f"{place}: taken {count} times" for place, count in places.items() if count > 1]
        scored = Counter(sitting for sitting, _ in rows)
        found += [f"{s.id}: scored {scored[s.id]} times" for s in sittings if scored[s.id] != 1]
        if len({trace.id for trace in traces}) != len(traces) or len(traces) != len(sittings):
            found.append(f"{len(sittings)} sittings, {len(traces)} traces")
        for sitting, line in rows:
            events = [json.loads(text) for _, _, text in database.read_rows(connection, sitting)]
            if events != json.loads(line)["events"]:
                found.append(f"{sitting}: the events are not those of its trace")
        return found
    finally:
        connection.close()
