"""A study: who takes part, at which address, with which task, and until when."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import hmac
import logging
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from usersim_env.domains import get_task
from usersim_env.errors import UsageError, UsersimError
from usersim_env.person.addresses import NotFound
from usersim_env.person.clock import Now
from usersim_env.person.session import Brief, PersonSession
from usersim_env.person.settings import StudySettings
from usersim_env.person.wire import Move, Refused
from usersim_env.person.words import rules_html
from usersim_env.study import database
from usersim_env.study.agents import AgentSide
from usersim_env.study.assignment import next_place
from usersim_env.study.closing import ended
from usersim_env.study.consent import Consents, adopt, consent_of, counted
from usersim_env.study.keeping import TimeKeeper, each
from usersim_env.study.reading import BROKEN, UNREADABLE
from usersim_env.study.records import Person, Sitting, forgotten
from usersim_env.study.resuming import given_up, past_of
from usersim_env.study.sitting import Desk, LiveSitting
from usersim_env.study.store import Store

log = logging.getLogger(__name__)

PROLIFIC = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
"""What Prolific puts into the address."""

_LONGEST_ID = 100  # characters
_NOT_SAVED = "This could not be saved. Please try again in a minute."


class CannotJoin(UsersimError):
    """Somebody cannot take part; the message is for them."""


class ConsentChanged(CannotJoin):
    """Somebody agreed to a text that is not the present one."""


class Study:
    """Everything of one study but the web.

    Args:
        settings: of the study.
        agent: who serves everybody.
        now: the clock of every deadline; for tests.

    Raises:
        UsageError: the folder holds another study, or is served already.
    """

    def __init__(self, settings: StudySettings, agent: AgentSide, now: Now = time.monotonic) -> None:
        self.settings, self.agent = settings, agent
        self.tasks = [task.id for task in settings.chosen()]
        self.rules = rules_html(settings.rules)
        self.present = consent_of(settings)
        """What newcomers agree to."""
        seat = dataclasses.asdict(agent.seat)
        kept = {"domain": settings.domain, "tasks": self.tasks, "agent": seat, "max_steps": settings.max_steps}
        self.store = Store(settings, kept)
        adopt(self.store.connection, settings)
        self.consents = Consents(self.store.connection)
        self._desk = Desk(settings, self.store, agent, self.rules, self._ended, self.consents, now)
        self._keeper = TimeKeeper(self.store, now)
        try:
            sittings = [self._with_code(one) for one in database.read_sittings(self.store.connection)]
        except sqlite3.Error as error:
            self.store.close()
            raise UsageError(f"{settings.folder / database.FILE} cannot be read: {error}.") from None
        self.records: dict[str, Sitting] = {s.id: s for s in sittings}
        self._over_since = {s.id: now() - max(time.time() - (s.ended or s.started), 0.0) for s in self.records.values()}
        self.live: dict[str, LiveSitting] = {}
        self._closed: dict[str, PersonSession] = {}
        self._begun: dict[str, asyncio.Future[None]] = {}  # sittings whose place is being stored
        self._rng = random.Random(len(self.records))

    def resume(self) -> None:
        """Takes up every open sitting where the store has it; call it on the running loop.

        One that cannot be read has failed: nothing of it is changed but that, and everybody else goes on.

        Raises:
            UsageError: the file itself cannot be used now.
        """
        try:
            for record in list(self.records.values()):
                if record.state == "open":
                    self._take_up(record)
                elif record.problem is not None and record.failure != BROKEN:
                    self._give_up(record)
        except (sqlite3.OperationalError, OSError) as error:
            raise UsageError(f"{self.settings.folder}: the study cannot be taken up now: {error}.") from None

    def _take_up(self, record: Sitting) -> None:
        try:
            past = past_of(self.store.connection, record)
            live = LiveSitting(record, get_task(record.task), self._desk, past)
        except (sqlite3.OperationalError, OSError):
            raise  # it may be readable tomorrow
        except Exception as error:
            self._give_up(given_up(record, error))
            self._over_since[record.id] = self._desk.now()
        else:
            self.live[record.id] = live
            live.serve()

    def _give_up(self, record: Sitting) -> None:
        log.error("sitting %s: %s All that the file holds of it is left as it is.", record.id, record.problem)
        self.records[record.id] = record
        if record.failure == UNREADABLE:
            with contextlib.suppress(database.Deleted):
                database.give_up(self.store.connection, record)

    def _with_code(self, sitting: Sitting) -> Sitting:
        """A person whose code cannot be read gets one all the same, always the same one."""
        if sitting.code or not sitting.person:
            return sitting
        code = self.settings.code or self._hash("code", sitting.id)[:8].upper()
        return dataclasses.replace(
            sitting,
            code=code,
            problem=f"{sitting.problem or 'It has no completion code.'} The person is shown the code {code}.",
        )

    def close(self) -> None:
        """Lets everybody go and the folder too; everything is stored already."""
        for live in self.live.values():
            live.leave()
        self.store.close()

    # -- taking part -----------------------------------------------------------------------------------------------

    def problem(self, query: Mapping[str, Any]) -> str | None:
        """Why somebody with this link cannot take part; ``None`` if they can."""
        try:
            found = self._place(query)
        except CannotJoin as error:
            return str(error)
        if self.store.saving.trouble is not None and not isinstance(found, Sitting):
            return "Nothing can be saved at the moment, so nobody can begin. Please try again in a few minutes."
        return None

    async def join(self, query: Mapping[str, Any], agreed_to: str) -> str:
        """The token of a sitting for somebody who has agreed; the same again for the same visit.

        Args:
            query: of the link that the person followed.
            agreed_to: version of the consent that their page shows.

        Raises:
            ConsentChanged: it shows an older one.
            CannotJoin: says why.
        """
        found = self._place(query)
        if isinstance(found, Sitting):
            if (begun := self._begun.get(found.id)) is not None:
                await asyncio.shield(begun)
                if found.id not in self.records:
                    raise CannotJoin(_NOT_SAVED)
            return self.token(found.id)
        if agreed_to != self.present.version:
            raise ConsentChanged("The text has changed since you opened this page. Please read it again.")
        person, record = found
        # The place is taken before anything is waited for, so nobody else can get it.
        begun = self._begun[record.id] = asyncio.get_running_loop().create_future()
        self.records[record.id] = record
        try:
            await self.store.begin(person, record, self.present)
        except Exception as error:
            del self.records[record.id]
            log.error("a person could not join: %s", error)
            raise CannotJoin(_NOT_SAVED) from None
        finally:
            begun.set_result(None)
            del self._begun[record.id]
        self.consents.add(self.present)
        self.live[record.id] = LiveSitting(record, get_task(record.task), self._desk)
        return self.token(record.id)

    def _place(self, query: Mapping[str, Any]) -> Sitting | tuple[Person, Sitting]:
        ids = self._ids(query)
        visit = self._hash("visit", *ids.values()) if ids else None
        if visit is not None and (known := self._of_visit(visit)) is not None:
            return known
        pseudonym = self._hash("person", ids["PROLIFIC_PID"])[:12] if ids else secrets.token_hex(6)
        mine = [s for s in self.records.values() if s.person == pseudonym]
        if any(s.state == "open" for s in mine):
            raise CannotJoin("You have begun this study already. Please finish it on the page that you began it on.")
        place = next_place(self.tasks, self.settings.per_task, self.records.values(), {s.task for s in mine}, self._rng)
        if place is None:
            raise CannotJoin("This study has all the participants that it needs. Thank you for your interest!")
        now = time.time()
        version = self.present.version
        person = Person(pseudonym, ids, now, version)
        code = self.settings.code or secrets.token_hex(4).upper()
        number = 1 + max((s.number for s in self.records.values()), default=0)
        record = Sitting(secrets.token_hex(8), pseudonym, *place, number, visit, code, now)
        return person, replace(record, consent=version, agreed=now)

    def _ids(self, query: Mapping[str, Any]) -> dict[str, str]:
        if self.settings.participants_from != "prolific":
            return {}
        ids = {name: query.get(name) for name in PROLIFIC}
        found = {name: x for name, x in ids.items() if isinstance(x, str) and x.isalnum() and x.isascii()}
        if len(found) < len(PROLIFIC) or any(len(x) > _LONGEST_ID for x in found.values()):
            raise CannotJoin("This link is not complete. Please open the study from your Prolific page again.")
        return found

    def _of_visit(self, visit: str) -> Sitting | None:
        return next((s for s in self.records.values() if s.visit == visit), None)

    # -- addresses -------------------------------------------------------------------------------------------------

    def token(self, sitting: str) -> str:
        """The secret part of a sitting's address."""
        return f"{sitting}.{self._hash('address', sitting)}"

    def find(self, token: str) -> PersonSession:
        """The session at an address; raises `NotFound`."""
        sitting, _, _ = token.partition(".")
        valid = hmac.compare_digest(token.encode(), self.token(sitting).encode())
        record = self.records.get(sitting) if valid else None
        if record is None:
            raise NotFound("There is no conversation at this address.")
        if sitting in self.live:
            return self.live[sitting].session
        if sitting in self._begun:
            raise NotFound("This conversation is about to begin. Please reload the page.")
        # By a clock that nobody sets: the code must not be gone because somebody has put the machine's clock right.
        if self._desk.now() - self._over_since[sitting] > 3600 * self.settings.address_hours:
            raise NotFound("This conversation is over, and its address is not valid any more.", gone=True)
        if sitting not in self._closed:
            self._closed[sitting] = _over(record, self.settings)
        return self._closed[sitting]

    def _hash(self, *parts: str) -> str:
        return hmac.new(self.store.secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()

    # -- time ------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Closes what nobody answers any more, and lets go of what was deleted; runs until it is cancelled."""
        while True:
            await asyncio.sleep(1.0)
            await self.look()

    async def look(self) -> None:
        """One look at all deadlines; what is wrong with one sitting keeps none of the others from being looked at."""
        sittings = list(self.live.values())
        each([*(live.look for live in sittings), lambda: self._keeper.look(sittings), self._deleted])

    def _deleted(self) -> None:
        """`usersim-env study delete` works on the file, beside this server."""
        for sitting in database.read_forgotten(self.store.connection):
            known = self.records.get(sitting)
            if known is not None and known.person:
                self.records[sitting] = forgotten(known)
                self._closed.pop(sitting, None)
                if (live := self.live.get(sitting)) is not None:
                    live.deleted()

    def _ended(self, live: LiveSitting) -> None:
        record = live.record
        self.records[record.id] = record
        self._over_since[record.id] = self._desk.now()
        if self.live.pop(record.id, None) is not None:
            self._closed[record.id] = live.session  # the page that is open goes on showing it
        self.agent.release(record.id)

    def agreements(self) -> list[str]:
        """How many people agreed to which version of the consent, one line each."""
        return counted(self.sittings(), self.consents, self.present)

    def sittings(self) -> Iterator[Sitting]:
        """All of them as they are now."""
        for record in self.records.values():
            live = self.live.get(record.id)
            yield record if live is None else live.record


def _over(record: Sitting, settings: StudySettings) -> PersonSession:
    """The session of a sitting that is over: it can be looked at, for the completion code."""
    session = PersonSession(Brief("", settings.title), _refuse)
    session.last = record.last_move
    session.show(*ended(record, (), settings))
    return session


async def _refuse(move: Move) -> None:
    raise Refused("over", "This conversation is over.")
