"""The agent's side of the contract: `Agent` (a setting) and `AgentSession` (one episode of it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Observation = Mapping[str, str]
Action = dict[str, Any]


class AgentSession(Protocol):
    """One episode of an agent."""

    def act(self, observation: Observation) -> Action:
        """The next action for what was just received.

        Args:
            observation: ``{"role": "user" | "tool", "name": str, "content": str}``.

        Returns:
            ``{"name": str, "arguments": dict}``: a tool call, or ``respond`` with ``{"content": str}``.
        """


class Agent(Protocol):
    """An immutable, picklable setting. A privileged agent looks the task up by its id, and every report says so."""

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
