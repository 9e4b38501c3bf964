"""One task: what the user wants, and what a right ending looks like."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from usersim_env.domains.canonical import sha256
from usersim_env.messages import ToolCall


@dataclass(frozen=True)
class Task:
    """One task of a domain. Holds what only the user side and the scoring may know, so it is never in an observation.

    Attributes:
        id: ``domain/split/index``, for example ``retail/test/17``.
        domain: ``retail``, ``airline``, ``mock`` or the name of a registered domain.
        split: ``test``, ``train`` or ``dev``.
        instruction: what the user side is told, in the second person.
        expected_calls: tool calls whose effect on the database is the right one.
        required_outputs: texts that the agent must have said.
    """

    id: str
    domain: str
    split: str
    instruction: str
    expected_calls: tuple[ToolCall, ...]
    required_outputs: tuple[str, ...] = field(default=())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that defines the task but its id, to tell versions of a task apart."""
        calls: list[Any] = [[c.name, dict(c.arguments)] for c in self.expected_calls]
        parts = [self.domain, self.instruction, calls, list(self.required_outputs)]
        return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True))
