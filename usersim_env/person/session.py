"""One person's session: what they see and may do now, without a server and without a clock.

Whoever owns the episode tells it what to show, and gets each move of the person once, through ``take``. The blocking
env (`users.browser`) and the study server (`study.sitting`) are two such owners of the same session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from usersim_env.feedback.survey import Survey
from usersim_env.messages import Message, Say, Stop
from usersim_env.person.limits import MAX_CHARS
from usersim_env.person.wire import Leave, Move, Refused, survey_form

Phase: TypeAlias = Literal["agent", "you", "survey", "done", "closed"]
"""Whose turn it is; ``done`` is the normal end, ``closed`` any other."""

Take: TypeAlias = Callable[[Move], Awaitable[None]]
"""Takes a move of the person. When it returns, the move is as safe as its owner can make it; it may raise `Refused`."""


HINT = "You could start with a greeting, and with what you would like to have done, in your own words."
"""A way to start that gives no words away."""


@dataclass(frozen=True)
class Brief:
    """What does not change in a session.

    Attributes:
        instruction: what the person wants; the agent never sees it.
        title: above the page.
        rules: for the person, as HTML.
        hint: a suggested way to start.
        max_chars: characters of one message.
        withdrawal: what leaving does to the data, ``delete`` or ``keep``; ``None`` where it just ends the conversation.
        activity: whether the page says that the agent looks something up.
        render: an agent's message as HTML, or ``None`` where it is shown as it was written; without it, all are.
    """

    instruction: str
    title: str = "Conversation"
    rules: str = ""
    hint: str = ""
    max_chars: int = MAX_CHARS
    withdrawal: Literal["delete", "keep"] | None = None
    activity: bool = True
    render: Callable[[str], str | None] | None = None


@dataclass(frozen=True)
class Ending:
    """What the person reads at the end: words, a completion code, a link to go on to.

    ``next`` is about another conversation on the same page: ``later`` if there may be one, ``now`` when it has begun.
    """

    text: str
    code: str | None = None
    redirect: str | None = None
    next: Literal["later", "now"] | None = None


class Connection(Protocol):
    """A page that is open: is told that something has changed, and says how far it has been shown."""

    shown: int

    def changed(self) -> None:
        """There is something new to show."""

    def kick(self) -> None:
        """Close it: the person has opened too many."""


class PersonSession:
    """What one person sees and may do.

    Args:
        brief: what does not change.
        take: the owner's; called for one move at a time.
    """

    def __init__(self, brief: Brief, take: Take) -> None:
        self.brief = brief
        self.phase: Phase = "agent"
        self.messages: Sequence[Message] = ()
        self.activity = 0
        self.last: str | None = None
        """Id of the last move that was taken."""
        self.ending: Ending | None = None
        self.version = 0
        """Grows with every change."""
        self.connections: list[Connection] = []
        self.lock = asyncio.Lock()
        """Held while a move is taken; an owner that changes the episode by itself holds it too."""
        self._take = take
        self._taken: set[str] = set()

    # -- the owner's side ------------------------------------------------------------------------------------------

    def show(self, phase: Phase, messages: Sequence[Message], activity: int = 0, ending: Ending | None = None) -> None:
        """Shows a state of the episode on every open page."""
        self.phase, self.messages, self.activity, self.ending = phase, messages, activity, ending
        self.version += 1
        for connection in self.connections:
            connection.changed()

    @property
    def over(self) -> bool:
        """Whether nothing is expected of the person any more."""
        return self.phase in ("done", "closed")

    # -- the page's side -------------------------------------------------------------------------------------------

    def hello(self) -> dict[str, Any]:
        """The first frame of a connection."""
        brief = self.brief
        fixed = {"title": brief.title, "instruction": brief.instruction, "rules": brief.rules, "hint": brief.hint}
        form = {"max_chars": brief.max_chars, "withdrawal": brief.withdrawal, "survey": survey_form()}
        return {"type": "hello"} | fixed | form

    def state(self, since: int = 0) -> dict[str, Any]:
        """The frame that shows how things are; messages from number ``since`` on."""
        ending = self.ending
        return {
            "type": "state",
            "phase": self.phase,
            "from": since,
            "messages": [self._shown(message) for message in self.messages[since:]],
            "activity": self.activity if self.brief.activity else None,
            "last": self.last,
            "ending": None if ending is None else vars(ending),
        }

    def _shown(self, message: Message) -> dict[str, str]:
        shown = {"role": message.role, "text": message.content}
        if message.role == "agent" and self.brief.render is not None:
            html = self.brief.render(message.content)
            if html is not None:
                shown["html"] = html
        return shown

    async def move(self, move: Move) -> None:
        """A move of the person; one that was taken before is not taken again.

        Raises:
            Refused: it does not fit, or could not be stored. Nothing has changed.
        """
        async with self.lock:
            if move.id == self.last or move.id in self._taken:
                return
            try:
                self._check(move)
                await self._take(move)
            except Refused as refused:
                raise Refused(refused.code, refused.text, move.id) from None
            self.last = move.id
            self._taken.add(move.id)  # another tab may have moved before this one hears that it was heard

    def _check(self, move: Move) -> None:
        if self.over:
            raise Refused("over", "This conversation is over.")
        if isinstance(move.act, Leave):
            return
        if isinstance(move.act, Survey):
            if self.phase != "survey":
                raise Refused("not_your_turn", "The survey comes after the conversation.")
            return
        if move.seen is not None and move.seen != len(self.messages):
            raise Refused("stale", "The conversation has gone on in the meantime, perhaps in another tab.")
        if self.phase != "you":
            raise Refused("not_your_turn", "Please wait for the answer.")
        if isinstance(move.act, Stop) and not any(m.role == "user" for m in self.messages):
            raise Refused("empty", "Please say first what you want. You can also leave.")
        assert isinstance(move.act, Say | Stop)

    def join(self, connection: Connection, most: int) -> None:
        """A page has been opened; beyond ``most`` the oldest is closed."""
        self.connections.append(connection)
        for old in self.connections[:-most]:
            old.kick()

    def part(self, connection: Connection) -> None:
        """A page is gone."""
        if connection in self.connections:
            self.connections.remove(connection)

    async def settle(self, seconds: float) -> None:
        """Waits until every open page shows the last state, ``seconds`` at most."""
        for _ in range(int(seconds / 0.01)):
            if all(connection.shown >= self.version for connection in self.connections):
                return
            await asyncio.sleep(0.01)
