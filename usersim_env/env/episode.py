"""`Episode`: a conversation with its user side seated; what every driver that plays a `User` does between the actions.

One episode by hand, with a user side that is awaited::

    episode = env.episode("retail/test/17", seed=0)   # env: a TauEnv, which stays as it is
    await episode.asettle(threads)                    # the user side's opening
    while not episode.conversation.over:
        episode.act(parse_action(my_action(episode.observation)))
        await episode.asettle(threads)                # its reply, its survey
    trace = episode.trace(seat)
    episode.close()
"""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

from usersim_env.conversation.machine import Conversation, SurveyTurn, UserTurn
from usersim_env.conversation.scene import Scene
from usersim_env.env.raised import user_failure
from usersim_env.env.threads import Threads
from usersim_env.errors import told
from usersim_env.messages import ToolCall
from usersim_env.traces.provenance import make_trace
from usersim_env.traces.trace import Seat, Trace
from usersim_env.users.base import User, UserSession
from usersim_env.users.seating import begun, session_notes, user_seat


class Ask(NamedTuple):
    """What the user side has to give now: the name of a method of its session, and what it may know."""

    method: str
    scene: Scene


class Episode:
    """One episode of a user side. Begins its session, and asks it for nothing yet.

    Args:
        conversation: a fresh one.
        user: who sits in the user's seat. If its session cannot begin, the conversation has failed.

    Attributes:
        observation: what the agent has just received, ``{"role": "user" | "tool", "name", "content"}``.
    """

    def __init__(self, conversation: Conversation, user: User) -> None:
        self.conversation = conversation
        self.observation = received("user", "user", "")
        self._user = user
        self._session: UserSession | None = None
        self._closed = False
        self._started, self._clock = time.time(), time.monotonic()
        try:
            self._session = begun(user, conversation.scene())
        except Exception as error:
            conversation.fail(user_failure(error))
            return
        conversation.watcher = self._session.watch if user.sees_everything else None

    @property
    def brief(self) -> dict[str, Any]:
        """What an agent is told at the beginning: ``task_id``, ``policy``, ``tools`` (a fresh copy each time)."""
        domain = self.conversation.world.domain
        return {"task_id": self.conversation.task.id, "policy": domain.policy, "tools": domain.schemas()}

    def act(self, call: ToolCall) -> None:
        """The agent's action; what it gets for it is in `observation`, where need be after `settle`."""
        result = self.conversation.act(call)
        if result is not None:
            self.observation = received("tool", result.name, result.content)

    @property
    def asked(self) -> Ask | None:
        """What the user side is to be asked; ``None`` while the agent has the turn, and at the end."""
        turn = self.conversation.turn
        if isinstance(turn, UserTurn):
            return Ask("open" if turn.opening else "reply", turn.scene)
        return Ask("fill_survey", turn.scene) if isinstance(turn, SurveyTurn) else None

    def answer(self, ask: Ask, came: object, error: Exception | None = None) -> None:
        """What the user side gave, or the error that it raised, which is its failure."""
        conversation, survey = self.conversation, ask.method == "fill_survey"
        if error is not None:
            conversation.fail(user_failure(error))
        elif survey:
            conversation.survey(came)  # type: ignore[arg-type]  # it looks at what came
        else:
            conversation.hear(came)
        if not survey:
            event = conversation.events[-1]
            self.observation = received("user", "user", event["content"] if event["event"] in ("say", "stop") else "")

    def settle(self) -> None:
        """Asks the user side for as much as is its turn: opening or reply, and the survey at the end.

        After Ctrl-C the episode cannot go on, and is closed.
        """
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        while (ask := self.asked) is not None:
            try:
                came = getattr(self._session, ask.method)(ask.scene)
            except Exception as error:
                self.answer(ask, None, error)
            else:
                self.answer(ask, came)

    async def asettle(self, threads: Threads) -> None:
        """Async twin of `settle`.

        A session's own ``aopen``, ``areply`` or ``afill_survey`` is awaited. Where it has none, the plain method runs
        in one of ``threads`` if the user side says that it is ``blocking``, and is called at once otherwise.
        """
        session: Any = self._session
        while (ask := self.asked) is not None:
            method, scene = ask
            try:
                if getattr(type(session), f"a{method}") is not getattr(UserSession, f"a{method}"):
                    came = await getattr(session, f"a{method}")(scene)
                elif self._user.blocking:
                    came = await threads.run(getattr(session, method), scene)
                else:
                    came = getattr(session, method)(scene)
            except Exception as error:
                self.answer(ask, None, error)
            else:
                self.answer(ask, came)

    def trace(self, agent: Seat) -> Trace:
        """The episode as a `Trace`; one that is not over is ``ended_by="cut"`` and not scored."""
        seat = user_seat(self._user, session_notes(self._session))
        terms = self._session.terms if self._session is not None else None
        return make_trace(self.conversation, agent, seat, self._started, terms, time.monotonic() - self._clock)

    def close(self) -> None:
        """Frees the session, once. What it raises is a warning: there is nothing to fail any more."""
        if self._session is not None and not self._closed:
            self._closed = True
            try:
                self._session.close()
            except Exception as error:
                warnings.warn(f"The user side could not be closed. {told(error)}", stacklevel=2)


def received(role: str, name: str, content: str) -> dict[str, str]:
    """An observation: what the agent has just received."""
    return {"role": role, "name": name, "content": content}
