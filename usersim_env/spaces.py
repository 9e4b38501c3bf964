"""Spaces for text and tool calls: they sample, contain, and pass through both kinds of vector env.

`gymnasium.spaces.Text` does not do for chat: its default alphabet lacks the blank, and full Unicode takes a
second and 133 MB to build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from usersim_env.domains.canonical import MAX_DEPTH
from usersim_env.messages import RESPOND

MAX_LENGTH = 1 << 24
_ALPHABET = "abcdefghijklmnopqrstuvwxyz ABC 0123456789 #@._-'?,äßéñ你好مرحبا🙂"


class UnicodeText(spaces.Space[str]):
    """Any ``str`` of at most ``max_length`` characters; samples are short."""

    def __init__(self, max_length: int = MAX_LENGTH, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=str, seed=seed)
        self.max_length = max_length

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Up to twelve characters, some of them outside ASCII."""
        size = int(self.np_random.integers(0, min(12, self.max_length) + 1))
        return "".join(_ALPHABET[i] for i in self.np_random.integers(0, len(_ALPHABET), size))

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a str of a length that fits."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """Never: text has no array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        return hash(("UnicodeText", self.max_length))

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"


class ToolAction(spaces.Space[dict[str, Any]]):
    """``{"name": str, "arguments": dict}``: a call of one of the tools, or ``respond`` with ``{"content": str}``.

    Anything of that shape is contained, however wrong inside: the world answers it with a readable error.
    Samples are valid by the tool's schema (their ids are made up).

    Args:
        tools: OpenAI function schemas.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]], seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
        text = {"type": "object", "properties": {"content": {"type": "string"}}, "required": ["content"]}
        self._schemas = {RESPOND: text} | self.tools

    def sample(self, mask: None = None, probability: None = None) -> dict[str, Any]:
        """A call that is valid by its schema."""
        names = list(self._schemas)
        name = names[int(self.np_random.integers(len(names)))]
        return {"name": name, "arguments": self._value(self._schemas[name])}

    def _value(self, schema: Mapping[str, Any], depth: int = MAX_DEPTH) -> Any:
        if "enum" in schema:
            return schema["enum"][int(self.np_random.integers(len(schema["enum"])))]
        kind = schema.get("type", "string")
        if kind == "object":
            required = schema.get("required", ())
            chosen = [k for k in schema.get("properties", {}) if k in required or self.np_random.random() < 0.5]
            return {k: self._value(schema["properties"][k], depth - 1) for k in chosen}
        if kind == "array":
            item = schema.get("items", {"type": "string"})
            return [self._value(item, depth - 1) for _ in range(int(self.np_random.integers(1, 4)))]
        if kind in ("integer", "number"):
            return int(self.np_random.integers(0, 100))
        if kind == "boolean":
            return bool(self.np_random.integers(2))
        return "".join(_ALPHABET[i] for i in self.np_random.integers(0, 40, int(self.np_random.integers(1, 12))))

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a dict with a str ``name`` and a dict ``arguments``."""
        return isinstance(x, dict) and isinstance(x.get("name"), str) and isinstance(x.get("arguments"), dict)

    @property
    def is_np_flattenable(self) -> bool:
        """Never: a call has no array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolAction) and self.tools == other.tools

    def __hash__(self) -> int:
        return hash(tuple(self.tools))

    def __repr__(self) -> str:
        return f"ToolAction({', '.join(self.tools)})"
