"""One open sitting: the owner of a person's session, driving the same `Conversation` as every env.

An event is stored before anybody is told of it: the person's words before they are acknowledged, the agent's before
they are shown. So a server that is killed at any moment goes on from the store, and nothing is lost or done twice.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from usersim_env.conversation.machine import AgentTurn, Conversation, Ended, Event, SurveyTurn
from usersim_env.conversation.rules import Rules
from usersim_env.domains import Task, World, get_domain
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Failure
from usersim_env.messages import RESPOND, Say, Stop
from usersim_env.person.clock import Now, SittingClock
from usersim_env.person.faults import fault
from usersim_env.person.markdown import message_html
from usersim_env.person.session import HINT, Brief, Ending, PersonSession, Phase
from usersim_env.person.settings import StudySettings
from usersim_env.person.wire import Leave, Move, Refused
from usersim_env.study.acting import next_call, notes_of
from usersim_env.study.agents import AgentSide, Situation
from usersim_env.study.closing import closed, ended, trace_of
from usersim_env.study.consent import Consents
from usersim_env.study.database import Deleted
from usersim_env.study.deadlines import overdue
from usersim_env.study.reading import BROKEN, Unreadable, failed
from usersim_env.study.records import Sitting, State, forgotten
from usersim_env.study.resuming import Past
from usersim_env.study.store import Store
from usersim_env.traces.trace import Trace

log = logging.getLogger(__name__)
_RETRY = (0.2, 1.0, 5.0, 20.0)  # seconds between tries to store what the agent did; the last one again and again


class Desk(NamedTuple):
    """What every sitting of a study shares.

    Attributes:
        settings: of the study.
        store: where everything is kept.
        agent: who serves.
        rules: for participants, as HTML.
        ended: is told of a sitting that is over or was deleted.
        consents: what each person agreed to.
        now: the clock.
    """

    settings: StudySettings
    store: Store
    agent: AgentSide
    rules: str
    ended: Callable[[LiveSitting], None]
    consents: Consents
    now: Now


class LiveSitting:
    """A sitting that is open.

    Args:
        record: as it is stored.
        task: what the person plays.
        desk: what every sitting shares.
        past: what is stored, when it is taken up again.

    Raises:
        Unreadable: it is over already; other errors where what is stored does not fit together.
    """

    def __init__(self, record: Sitting, task: Task, desk: Desk, past: Past | None = None) -> None:
        self.record, self.task = record, task
        self._desk = desk
        self._rules = Rules(desk.settings.max_steps)
        self._serving: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._missed = past is not None and record.present
        past = past if past is not None else Past()
        self.clock = SittingClock(record.used, record.served, past.before, desk.now)
        self._waits = list(past.waits)
        self._conversation = self._restored(past.events)
        if self._conversation.over:
            raise Unreadable("Its events are those of a conversation that is over, but it is stored as open.")
        self._saved = len(past.events)
        self._consent = desk.consents.of(record)
        s, left = desk.settings, self._consent.withdrawal
        render = message_html if s.markdown else None
        brief = Brief(task.instruction, s.title, desk.rules, HINT, s.max_chars, left, s.activity, render)
        self.session = PersonSession(brief, self._take)
        self.session.last = record.last_move
        self._show()

    @property
    def conversation(self) -> Conversation:
        """The episode."""
        return self._conversation

    def serve(self) -> None:
        """Lets the agent act, where it has the turn."""
        idle = self._serving is None or self._serving.done()
        if idle and isinstance(self._conversation.turn, AgentTurn):
            self._serving = asyncio.create_task(self._guarded(self._serve()))

    def look(self) -> None:
        """Counts the time since the last look, and closes the sitting where it has taken too long."""
        self._count()
        idle = self._ending is None or self._ending.done()
        if idle and self._overdue() is not None:
            # By itself: a sitting that waits for the disk must not keep the others from being looked at.
            self._ending = asyncio.create_task(self._guarded(self._expire()))

    @property
    def timed(self) -> Sitting:
        """The record with the time that was used until now."""
        present = bool(self.session.connections) or self._missed
        return dataclasses.replace(self.record, used=self.clock.used, served=self.clock.served, present=present)

    def deleted(self) -> None:
        """Somebody has deleted the person's data while they were here."""
        self._gone("This conversation has been deleted.")

    def leave(self) -> None:
        """Breaks off what the agent is doing; when the server stopped, it is done again when it starts."""
        for task in (self._serving, self._ending):
            if task is not None:
                task.cancel()

    # -- time ------------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Counts the time since the last call for whoever had the turn."""
        saving = self._desk.store.saving.trouble is None
        if self.session.connections:
            self._missed = not saving
        self.clock.advance(self.session.phase, saving)

    def _overdue(self) -> Failure | None:
        return overdue(self.clock, self.session.phase, self._missed, self._desk.settings)

    async def _expire(self) -> None:
        async with self.session.lock:
            failure = None if self.session.over else self._overdue()
            if failure is not None:
                if self._serving is not None:
                    self._serving.cancel()
                self._conversation.fail(failure)
                await self._store_surely()

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What goes wrong in one sitting ends this one, and no other."""
        try:
            await work
        except Exception as error:
            async with self.session.lock:
                if not self.session.over:
                    await self._broken(error)

    async def _broken(self, error: Exception) -> None:
        found = fault(error)
        log.error("sitting %s: it has failed by a fault of this server: %s", self.record.id, found)
        problem = f"It could not go on: {found}."
        record = dataclasses.replace(failed(self.timed), failure=BROKEN, problem=problem)
        if await self._surely(lambda: self._desk.store.give_up(record)):
            self.record = record
            self.session.show(*ended(record, tuple(self._conversation.messages), self._desk.settings))
            self._desk.ended(self)
            self.leave()

    # -- the person's moves ----------------------------------------------------------------------------------------

    async def _take(self, move: Move) -> None:
        try:
            await self._told(move)
        except Refused:
            raise
        except Exception as error:
            await self._broken(error)
            raise Refused("over", "A technical problem on our side has ended this conversation.") from None

    async def _told(self, move: Move) -> None:
        if isinstance(move.act, Leave):
            await self._withdraw(move)
            return
        conversation = self._conversation
        if isinstance(move.act, Survey):
            conversation.survey(move.act)
        elif isinstance(move.act, Stop):
            conversation.stop(move.act.content)
        else:
            assert isinstance(move.act, Say)
            conversation.say(move.act.content)
        self._count()
        self._waits.append(self.clock.turn)
        try:
            await self._store(move.id, seconds=self.clock.turn)
        except Refused:
            self._waits.pop()
            raise
        self.clock.next_turn()
        self.serve()

    async def _withdraw(self, move: Move) -> None:
        # The agent goes on until this is stored: otherwise nobody would act if it cannot be.
        if self._consent.withdrawal == "keep":
            at_survey = isinstance(self._conversation.turn, SurveyTurn)
            self._conversation.fail(Failure("user", "abandoned", "The person left the study."))
            await self._store(move.id, state=None if at_survey else "withdrawn")
            self.leave()
            return
        try:
            await self._desk.store.forget(self.record)
        except (sqlite3.Error, OSError) as error:
            raise _not_saved(error) from None
        self._gone("You have left the study, and what you wrote has been deleted. You can close this page.")

    # -- the agent's ------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while isinstance(self._conversation.turn, AgentTurn):
            await self._one_action()

    async def _one_action(self) -> None:
        conversation, agent = self._conversation, self._desk.agent
        info = {"task_id": self.task.id, "policy": conversation.world.domain.policy, "valid": True}
        info["tools"] = conversation.world.domain.schemas()
        situation = Situation(self.record.id, info, conversation.seed, tuple(conversation.events))
        found = await next_call(agent, situation, self._desk.settings.agent_timeout, self._desk.now)
        async with self.session.lock:
            if self._conversation is not conversation or not isinstance(conversation.turn, AgentTurn):
                return  # the person has left in the meantime
            if isinstance(found, Failure):
                # Not its message, which may quote the person: it goes to the store, where a deletion reaches it.
                log.warning("sitting %s: the agent failed (%s)", self.record.id, found.kind)
                conversation.fail(found)
            else:
                conversation.act(found)
            await self._store_surely()

    # -- what is kept, what is shown -------------------------------------------------------------------------------

    async def _store_surely(self) -> None:
        """Stores what is not the person's own."""
        if await self._surely(lambda: self._write(None, None)):
            self._show()

    async def _surely(self, write: Callable[[], Awaitable[None]]) -> bool:
        """Writes, and tries until it can; false where the sitting was deleted in the meantime."""
        for pause in itertools.chain(_RETRY, itertools.repeat(_RETRY[-1])):
            try:
                await write()
            except (sqlite3.Error, OSError) as error:
                log.error("sitting %s: not stored, trying again in %g s: %s", self.record.id, pause, error)
                await asyncio.sleep(pause)
            except Deleted:
                self._gone("This conversation has been deleted.")
                return False
            else:
                break
        return True

    async def _store(self, move: str, state: State | None = None, seconds: float | None = None) -> None:
        """Stores what the person did; if that fails, it has not happened."""
        before = self._conversation.events[: self._saved]
        try:
            await self._write(move, state, seconds)
        except (sqlite3.Error, OSError) as error:
            self._conversation = self._restored(before)
            raise _not_saved(error) from None
        except Deleted:
            self._gone("This conversation has been deleted.")
            raise Refused("over", "This conversation has been deleted.") from None
        self._show()

    async def _write(self, move: str | None, state: State | None, seconds: float | None = None) -> None:
        conversation = self._conversation
        record = dataclasses.replace(
            self.timed,
            last_move=move if move is not None else self.record.last_move,
            turns=sum(1 for m in conversation.messages if m.role == "user"),
        )
        trace: Trace | None = None
        if conversation.over:
            record = closed(record, conversation, self.task, state)
            notes = await notes_of(self._desk.agent, record.id)
            serving = dataclasses.replace(self._desk.agent.seat, notes=notes)
            trace = trace_of(record, conversation, serving, self._waits, self._desk.settings.title, self._consent.terms)
        events = conversation.events[self._saved :]
        line = None if trace is None else trace.to_line().decode()
        await self._desk.store.append(record, self._saved, events, line, seconds)
        self.record = record
        self._saved = len(conversation.events)

    def _restored(self, events: Sequence[Event]) -> Conversation:
        world = World(get_domain(self.task.domain))
        return Conversation.restore(self.task, world, events, self._rules, self.record.number)

    def _show(self) -> None:
        self.clock.advance(self.session.phase, True)  # until now, whoever had the turn until now
        conversation = self._conversation
        turn = conversation.turn
        if isinstance(turn, Ended):
            self.session.show(*ended(self.record, tuple(conversation.messages), self._desk.settings))
            self._desk.ended(self)
            return
        phase: Phase = "survey" if isinstance(turn, SurveyTurn) else "agent" if isinstance(turn, AgentTurn) else "you"
        self.session.show(phase, tuple(conversation.messages), _looked_up(conversation.events))

    def _gone(self, text: str) -> None:
        self.leave()
        self.record = forgotten(self.record)
        self.session.show("closed", (), ending=Ending(text))
        self._desk.ended(self)


def _looked_up(events: Sequence[Event]) -> int:
    """Tool calls of the agent since its last words."""
    count = 0
    for event in reversed(events):
        if event["event"] != "act" or (event["name"] == RESPOND and "result" not in event):
            break
        count += 1
    return count


def _not_saved(error: Exception) -> Refused:
    log.error("a person's move was not stored: %s", error)
    return Refused("not_saved", "This could not be saved. Trying again…")
