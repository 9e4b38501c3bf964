"""An assistant message as clients and servers write it: words, refusals, tool calls, blocks of content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from usersim_env.llm.thoughts import Unreadable

_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_text", "summary_text"})
_WORDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}


class AssistantMessage(NamedTuple):
    """What a message holds.

    Attributes:
        words: everything that is said, a refusal too; thoughts that its model wrote among them are still there.
        calls: ``{"name", "arguments"}`` of each tool call, in order, unread.
    """

    words: str
    calls: tuple[Mapping[str, Any], ...]


def read_assistant(message: Mapping[str, Any]) -> AssistantMessage:
    """The words and calls of an assistant message.

    Args:
        message: ``content`` (a text, or blocks as OpenAI's and Anthropic's clients have them), ``refusal``,
            ``tool_calls``, and ``function_call`` of old.

    Raises:
        Unreadable: a block or a call that is none, or that cannot be said in a text chat, such as an image.
    """
    words, calls = _content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip() and refusal not in words:
        words = f"{words}\n{refusal}".strip()
    listed = message.get("tool_calls") or ()
    if not isinstance(listed, list | tuple):
        raise Unreadable(f"'tool_calls' is a list, not {type(listed).__name__}")
    calls += [_function(call) for call in listed]
    if not calls and isinstance(message.get("function_call"), Mapping):
        calls.append(message["function_call"])
    return AssistantMessage(words, tuple(calls))


def text_of(content: Any) -> str:
    """The words of a message's content; raises `Unreadable` for blocks that are no words."""
    return _content(content)[0]


def _content(content: Any) -> tuple[str, list[Mapping[str, Any]]]:
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, Sequence):
        raise Unreadable(f"'content' is a text or a list of blocks, not {type(content).__name__}")
    words: list[str] = []
    calls: list[Mapping[str, Any]] = []
    for block in content:
        if isinstance(block, str):
            words.append(block)
            continue
        kind = block.get("type", "text") if isinstance(block, Mapping) else type(block).__name__
        if kind in _WORDS and isinstance(block.get(_WORDS[kind]), str):
            words.append(block[_WORDS[kind]])
        elif kind == "tool_use":
            calls.append({"name": block.get("name"), "arguments": block.get("input")})
        elif kind not in _THOUGHTS:
            raise Unreadable(f"a block of the type {str(kind)[:40]!r} cannot be said in a chat of words")
    return "".join(words), calls


def _function(call: Any) -> Mapping[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise Unreadable("every entry of 'tool_calls' has a 'function' with 'name' and 'arguments'")
    return function
