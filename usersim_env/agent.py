"""The agent's side of the contract: `Agent` (a setting) and `AgentSession` (one episode of it)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from usersim_env.conversation.notes import kept_notes
from usersim_env.errors import UsageError, told
from usersim_env.messages import RESPOND
from usersim_env.traces.trace import Seat

Observation = Mapping[str, str]
Action = dict[str, Any]


class AgentSession(Protocol):
    """One episode of an agent. Where it has ``async def aact(observation)`` too, async rollouts await that instead."""

    def act(self, observation: Observation) -> Action:
        """The next action for what was just received.

        Args:
            observation: ``{"role": "user" | "tool", "name": str, "content": str}``.

        Returns:
            ``{"name": str, "arguments": dict}``: a tool call, or ``respond`` with ``{"content": str}``.
        """


class Agent(Protocol):
    """An immutable, picklable setting. A privileged agent looks the task up by its id, and every report says so.

    An agent whose ``act`` waits for something outside the process says ``blocking = True``: async rollouts then call
    it in a thread.
    """

    @property
    def name(self) -> str:
        """A short name for tables."""

    @property
    def privileged(self) -> bool:
        """Whether it looks up what only the scoring may know."""

    def begin(self, info: Mapping[str, Any], seed: int) -> AgentSession:
        """Starts one episode; ``info`` is what `reset` gave: ``task_id``, ``policy``, ``tools``."""

    def describe(self) -> dict[str, Any]:
        """Settings that tell two agents of the same name apart, as JSON values."""


class ScriptedAgent:
    """Says and does what a script says, for tests and examples; after its end it repeats the last move.

    Args:
        moves: words for the customer, or actions such as ``{"name": "find_ticket", "arguments": {"email": "…"}}``.
        name: a short name for tables.

    Raises:
        UsageError: no moves.
    """

    privileged = False

    def __init__(self, moves: Sequence[str | Action], name: str = "scripted") -> None:
        if isinstance(moves, str) or not moves:
            raise UsageError(f"ScriptedAgent takes a list with at least one move, got {moves!r:.80}.")
        self.name = name
        self._moves = tuple(moves)

    def begin(self, info: Mapping[str, Any], seed: int) -> AgentSession:
        """Starts the script."""
        return _Script(self._moves)

    def describe(self) -> dict[str, Any]:
        """The moves."""
        return {"moves": list(self._moves)}


class _Script:
    def __init__(self, moves: Sequence[str | Action]) -> None:
        self._moves, self._next = moves, 0

    def act(self, observation: Observation) -> Action:
        move = self._moves[min(self._next, len(self._moves) - 1)]
        self._next += 1
        return {"name": RESPOND, "arguments": {"content": move}} if isinstance(move, str) else move


def notes_of(session: AgentSession | None, name: str) -> dict[str, Any]:
    """What an agent's session says of its episode (``notes()``, where it has one): calls, tokens, cost.

    Args:
        session: of the agent; ``None`` where it could not begin.
        name: of the agent, for a warning.
    """
    return kept_notes(session, f"The agent {name!r}")


def seat_of(agent: object) -> Seat:
    """The agent as traces name it.

    Raises:
        UsageError: it lacks a part of the contract; says which.
    """
    begin, name = getattr(agent, "begin", None), getattr(agent, "name", None)
    if isinstance(agent, type) or not callable(begin) or not isinstance(name, str) or not name:
        got = f"the class {agent.__name__} (make one of it)" if isinstance(agent, type) else f"a {type(agent).__name__}"
        raise UsageError(
            f"An agent is an object with name (a str), privileged (a bool), begin(info, seed) and describe(), "
            f"as in usersim_env.agent.Agent; got {got}, name={name!r}."
        )
    describe = getattr(agent, "describe", dict)
    settings: Any
    try:
        settings = describe()
        json.dumps(settings, allow_nan=False)
    except Exception as error:
        raise UsageError(f"describe() of the agent {name!r} gives a dict of JSON values: {told(error)}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"describe() of the agent {name!r} gives a dict, got {type(settings).__name__}.")
    return Seat("agent", name, settings, getattr(agent, "privileged", False) is True)
