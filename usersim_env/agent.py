"""The agent's side of the contract: `Agent` (a setting) and `AgentSession` (one episode of it)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from usersim_env.errors import UsageError, told
from usersim_env.notes import kept_notes
from usersim_env.trace import Seat

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
