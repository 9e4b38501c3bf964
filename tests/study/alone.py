"""A study without a network and with a clock of its own: hours pass in a moment, and nothing waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.messages import Say, Stop
from usersim_env.person.session import PersonSession
from usersim_env.person.settings import StudySettings
from usersim_env.person.wire import Act, Leave, Move
from usersim_env.study.agents import agent_side
from usersim_env.study.records import Sitting
from usersim_env.study.study import Study

SURVEY = Survey({q.field: list(q.answers)[1] for q in QUESTIONS})
_moves = itertools.count(1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Page:
    """An open page that does nothing."""

    shown = 0

    def changed(self) -> None:
        pass

    def kick(self) -> None:
        pass


class Guest:
    """Somebody who takes part by calls: their address, and whether their page is open."""

    def __init__(self, study: Study, token: str) -> None:
        self.study, self.token = study, token
        self.session.join(Page(), 4)

    @property
    def session(self) -> PersonSession:
        return self.study.find(self.token)

    @property
    def record(self) -> Sitting:
        sitting = self.token.partition(".")[0]
        return next(record for record in self.study.sittings() if record.id == sitting)

    @property
    def code(self) -> str | None:
        ending = self.session.ending
        return None if ending is None else ending.code

    def close(self) -> None:
        """Closes the page."""
        self.session.connections.clear()

    async def do(self, act: Act) -> None:
        session = self.session
        seen = None if isinstance(act, Survey | Leave) else len(session.messages)
        await session.move(Move(f"m{next(_moves)}", act, seen))

    async def until(self, *phases: str) -> None:
        for _ in range(2_000):
            if self.session.phase in phases:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"still {self.session.phase}, expected one of {phases}")

    async def say(self, text: str) -> None:
        """Says something and waits for the answer."""
        await self.do(Say(text))
        await self.until("you", "closed")

    async def finish(self) -> None:
        await self.do(Stop(""))
        await self.do(SURVEY)


@asynccontextmanager
async def opened(settings: StudySettings, agent: object, clock: Clock) -> AsyncIterator[Study]:
    """Serves a study until it is left; what it stores it has stored by then."""
    study = Study(settings, agent_side(agent), clock)
    study.resume()
    try:
        yield study
    finally:
        study.close()


async def guest(study: Study, **query: Any) -> Guest:
    """Somebody new, with their page open."""
    return Guest(study, await study.join(query, study.present.version))


async def passing(study: Study, clock: Clock, seconds: float) -> None:
    """Time passes, and the server looks every second as it does."""
    for _ in range(int(seconds)):
        clock.at += 1.0
        await study.look()
        await settled(study)


async def settled(study: Study) -> None:
    """What the looks have begun is done."""
    for _ in range(2_000):
        tasks = [live._ending for live in study.live.values()] + [study._keeper._writing]
        if all(task is None or task.done() for task in tasks):
            return
        await asyncio.sleep(0.0005)
    raise AssertionError("what a look has begun does not end")
