"""What the two seats say and do, as small frozen values; to chat-completion messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from usersim_env.errors import InvalidAction

RESPOND = "respond"
"""Name of the action that speaks to the user side; every other name is a tool."""


@dataclass(frozen=True, slots=True)
class Say:
    """One turn of the user side."""

    content: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The user side ends the episode; words, if any, are its last turn.

    ``used_up``: nobody wanted to stop, a recording has no more turns; the episode is then not scored.
    """

    content: str = ""
    used_up: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One visible turn: ``role`` is ``"agent"`` or ``"user"``."""

    role: Literal["agent", "user"]
    content: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One action of the agent: a tool, or `RESPOND` with ``{"content": str}``."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back; ``error`` is true for every text that starts with ``Error`` or names no tool."""

    name: str
    content: str
    error: bool = False


def parse_action(action: object) -> ToolCall:
    """The action ``{"name": str, "arguments": dict}`` as a `ToolCall`; what is inside the arguments is not looked at.

    Raises:
        InvalidAction: anything of another shape. Nothing has happened, the episode can go on.
    """
    if not isinstance(action, Mapping):
        raise InvalidAction(f"An action is a dict, got {type(action).__name__}. {_EXAMPLE}")
    name, arguments = action.get("name"), action.get("arguments")
    if not isinstance(name, str):
        raise InvalidAction(f"An action has a str 'name', got {type(name).__name__}. {_EXAMPLE}")
    if not isinstance(arguments, dict):
        raise InvalidAction(f"An action has a dict 'arguments', got {type(arguments).__name__}. {_EXAMPLE}")
    # np.str_ and other subclasses as the plain type, so that nothing further on runs their code.
    return ToolCall(str.__str__(name), arguments)


_EXAMPLE = 'For example {"name": "respond", "arguments": {"content": "Hello!"}}.'


def to_chat(messages: Sequence[Message], me: Literal["agent", "user"] = "agent") -> list[dict[str, str]]:
    """Visible turns as chat-completion messages, seen from one seat (its own turns are ``assistant``)."""
    return [{"role": "assistant" if m.role == me else "user", "content": m.content} for m in messages]


def call_to_chat(call: ToolCall, call_id: str) -> dict[str, Any]:
    """An agent's tool call as a chat-completion assistant message with one ``tool_calls`` entry."""
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }
