"""Spaces of chat messages: lists that an agent reads, and the assistant messages that it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from usersim_env.messages import RESPOND, ToolCall, call_to_chat
from usersim_env.spaces import ToolAction, UnicodeText

ROLES = ("system", "user", "assistant", "tool")


class MessageList(spaces.Space[list[dict[str, Any]]]):
    """A list of chat-completion messages, ``{"role", "content", …}``, oldest first."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> list[dict[str, Any]]:
        """Up to three messages with short contents."""
        text = UnicodeText(seed=int(self.np_random.integers(1 << 31)))
        roles = [ROLES[i] for i in self.np_random.integers(0, len(ROLES), int(self.np_random.integers(0, 4)))]
        return [{"role": role, "content": text.sample()} for role in roles]

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a list of dicts with a known ``role``, and a ``content`` that is a str or ``None``."""
        return isinstance(x, list) and all(
            isinstance(m, dict) and m.get("role") in ROLES and isinstance(m.get("content"), str | None) for m in x
        )

    @property
    def is_np_flattenable(self) -> bool:
        """Never: text has no array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessageList)

    def __hash__(self) -> int:
        return hash("MessageList")

    def __repr__(self) -> str:
        return "MessageList()"


class AssistantMessage(spaces.Space[dict[str, Any]]):
    """An OpenAI assistant message with words or ``tool_calls``. Whatever has that role is contained.

    Args:
        calls: the calls that samples are made of.
        seed: of the samples.
    """

    def __init__(self, calls: ToolAction, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.calls = calls

    def sample(self, mask: None = None, probability: None = None) -> dict[str, Any]:
        """One call that is valid by its schema, or words."""
        self.calls.seed(int(self.np_random.integers(1 << 31)))
        call = self.calls.sample()
        if call["name"] == RESPOND:
            return {"role": "assistant", "content": call["arguments"]["content"]}
        return call_to_chat(ToolCall(call["name"], call["arguments"]), "call_0")

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a mapping with the role ``assistant``."""
        return isinstance(x, Mapping) and x.get("role") == "assistant"

    @property
    def is_np_flattenable(self) -> bool:
        """Never: a message has no array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AssistantMessage) and self.calls == other.calls

    def __hash__(self) -> int:
        return hash(("AssistantMessage", self.calls))

    def __repr__(self) -> str:
        return f"AssistantMessage({self.calls!r})"
