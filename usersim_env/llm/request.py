"""What a model is asked and what it answers, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """One question to a model; what stays the same from call to call is in `Model`.

    Attributes:
        messages: chat-completion messages.
        tools: OpenAI function schemas; none are sent when empty.
        schema: a JSON schema that the answer's text must obey (``response_format``).
        seed: sent to the model, if its setting says so; non-negative, below 2**31.
        stop: texts that end the answer and are not part of it.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: ``None`` when the model wrote none.
        tool_calls: as in chat completions: ``{"id", "type", "function": {"name", "arguments": str}}``.
        finish_reason: ``stop``, ``length``, ``tool_calls``, ``content_filter`` …, as the provider says.
        prompt_tokens: ``None`` when the provider does not count.
        cost: US dollars; ``None`` when the price is unknown, which is never 0.
        reasoning: thoughts that the server told apart; they are shown to nobody.
        thinking_blocks: the same as Anthropic's signed blocks, which it wants back beside a tool call.
        reasoning_tokens, cached_tokens: parts of the completion's and of the prompt's tokens.
    """

    text: str | None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    reasoning: str | None = None
    thinking_blocks: tuple[Mapping[str, Any], ...] = ()
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        lists = {name: [dict(one) for one in getattr(self, name)] for name in ("tool_calls", "thinking_blocks")}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Completion:
        """The inverse of `to_dict`."""
        lists = {name: tuple(content.get(name, ())) for name in ("tool_calls", "thinking_blocks")}
        return cls(**{**content, **lists})
