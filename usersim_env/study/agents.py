"""The agent's side of a study: a function of the transcript, so that it goes on after the server was killed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

from usersim_env.agent import Action, Agent, AgentSession, Observation, notes_of, seat_of
from usersim_env.conversation.machine import Event
from usersim_env.env.episode import received
from usersim_env.env.threads import Threads
from usersim_env.errors import UsageError, UsersimError
from usersim_env.importers.chat import messages_of
from usersim_env.rollouts import agent_seed
from usersim_env.traces.trace import Seat

Transcript: TypeAlias = list[dict[str, Any]]
AgentFunction: TypeAlias = Callable[[Transcript, Mapping[str, Any]], Action | Awaitable[Action]]
"""``async f(messages, info) -> action`` (or a plain function, run in a pool). ``messages``: the chat in the shape of
OpenAI's, the policy first; ``info``: ``task_id``, ``policy``, ``tools``, ``seed``."""

_THREADS, _PATIENCE = 16, 5.0
"""Agents that block at the same time, the others wait for their turn; and seconds after which one does not count."""


class CannotGoOn(UsersimError):
    """An agent, asked again for what it had done before, did something else."""

    kind = "cannot_go_on"


class Situation(NamedTuple):
    """One episode when the agent has the turn."""

    sitting: str
    info: Mapping[str, Any]
    seed: int
    events: Sequence[Event]


class AgentSide(Protocol):
    """Who serves everybody in a study."""

    seat: Seat

    async def act(self, situation: Situation) -> Action:
        """The next action. An exception is a failure of the agent's side."""

    def notes(self, sitting: str) -> dict[str, Any]:
        """What the agent says of an episode: calls, tokens, cost."""

    def release(self, sitting: str) -> None:
        """An episode is over."""


def agent_side(agent: object) -> AgentSide:
    """The agent's side from an `Agent` or from an `AgentFunction`.

    Raises:
        UsageError: it is neither.
    """
    if hasattr(agent, "begin"):
        return _Sessions(cast("Agent", agent))
    if callable(agent) and not isinstance(agent, type):
        return _Function(cast("AgentFunction", agent))
    raise UsageError(
        f"The agent of a study is an agent with begin(info, seed), or a function f(messages, info); "
        f"got {type(agent).__name__}."
    )


class _Function:
    def __init__(self, function: AgentFunction) -> None:
        self._function = function
        self._threads = Threads(_THREADS, _PATIENCE)
        module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", type(function).__name__)
        self.seat = Seat("agent", name, {"function": f"{module}:{name}"})

    async def act(self, situation: Situation) -> Action:
        info = {**situation.info, "seed": agent_seed(situation.info["task_id"], situation.seed)}
        messages = list(messages_of(situation.events, situation.info["policy"]))
        if inspect.iscoroutinefunction(self._function):
            return cast("Action", await self._function(messages, info))
        found = await self._threads.run(self._function, messages, info)
        return await found if inspect.isawaitable(found) else found

    def notes(self, sitting: str) -> dict[str, Any]:
        return {}

    def release(self, sitting: str) -> None:
        """Nothing is held."""


class _Running(NamedTuple):
    session: AgentSession
    taken: int
    """Actions that it has taken."""


class _Sessions:
    """An `Agent`, whose sessions remember: they are made again from the transcript when they are not there."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.seat = seat_of(agent)
        self._running: dict[str, _Running | None] = {}
        self._threads = Threads(_THREADS, _PATIENCE)

    async def act(self, situation: Situation) -> Action:
        return await self._threads.run(self._act, situation)

    def _act(self, situation: Situation) -> Action:
        steps = list(_steps(situation.events))
        done = len(steps) - 1
        running = self._running.get(situation.sitting)
        self._running[situation.sitting] = None
        if running is None or running.taken != done:
            seed = agent_seed(situation.info["task_id"], situation.seed)
            running = _Running(self._agent.begin(situation.info, seed), 0)
            for observation, action in steps[:-1]:
                _again(running.session, observation, action)
        action = running.session.act(steps[-1][0])
        if situation.sitting in self._running:  # or the episode was over before the agent was done
            self._running[situation.sitting] = _Running(running.session, done + 1)
        return action

    def notes(self, sitting: str) -> dict[str, Any]:
        running = self._running.get(sitting)
        return notes_of(running.session, self.seat.name) if running is not None else {}

    def release(self, sitting: str) -> None:
        self._running.pop(sitting, None)


def _steps(events: Sequence[Event]) -> Iterator[tuple[Observation, Action]]:
    """What the agent received, and what it did; nothing yet in the last one."""
    observation = received("user", "user", "")
    for event in events:
        if event["event"] == "act":
            yield observation, {"name": event["name"], "arguments": event["arguments"]}
            observation = received("tool", event["name"], event.get("result", ""))
        elif event["event"] in ("say", "stop"):
            observation = received("user", "user", event["content"])
    yield observation, {}


def _again(session: AgentSession, observation: Observation, action: Action) -> None:
    """Brings a new session one step further: told what it did (``resume``), or asked again and compared."""
    resume = getattr(session, "resume", None)
    if callable(resume):
        resume(observation, action)
    elif (found := session.act(observation)) != action:
        raise CannotGoOn(
            f"After a restart the agent did {found.get('name')!r} where it had done {action['name']!r}. An agent that "
            "does not do the same twice has a method resume(observation, action) on its session."
        )
