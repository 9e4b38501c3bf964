"""Content blocks of chat messages: which are words, which are calls and results, and which cannot be read.

OpenAI (chat completions and responses) and Anthropic write a message's content as a list of typed blocks. What is
neither has no place in a conversation that is typed: images and the like are noted, what is unknown is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from usersim_env.importers.fields import Fields, text_of

WORDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Type of a block of words → the field that they stand in."""
THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
"""Types of blocks that nobody was shown."""
BESIDE = (
    "image", "image_url", "input_image", "audio", "input_audio", "video", "document", "file", "input_file", "data",
)  # fmt: skip
"""Types of blocks that were shown and are no words: they are kept in `Trace.source`, and a note says so."""


class Call(NamedTuple):
    """A tool call: ``tool_use``."""

    name: str
    arguments: object
    id: str | None


class Result(NamedTuple):
    """What a tool has answered: ``tool_result``."""

    text: str
    id: str | None
    error: bool | None


class Blocks(NamedTuple):
    """A message's content, by what it is."""

    text: str
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    beside: tuple[str, ...] = ()
    """Types of blocks that are no words."""


def read_blocks(message: Fields) -> Blocks:
    """The content of a message, be it a text or blocks; a refusal beside an empty content is words.

    Raises:
        TraceError: a block that cannot be read: which message, which type.
    """
    content = message.find("content", str, list)
    if not isinstance(content, list):
        return Blocks(content or message.find("refusal", str) or "")
    words, calls, results, beside = [], [], [], []
    for block in message.each("content"):
        kind = block.get("type", str)
        if kind in WORDS:
            words.append(block.get(WORDS[kind], str))
        elif kind == "tool_use" and "result" in block.value:
            beside.append(kind)  # Inspect's: the provider has run it, and nobody here was asked
        elif kind == "tool_use":
            calls.append(Call(block.get("name", str), block.value.get("input"), read_id(block, "id")))
        elif kind == "tool_result":
            results.append(Result(_answer(block), read_id(block, "tool_use_id"), block.find("is_error", bool)))
        elif kind in BESIDE:
            beside.append(kind)
        elif kind not in THOUGHTS:
            known = ", ".join((*WORDS, "tool_use", "tool_result", *THOUGHTS, *BESIDE))
            raise block.error("type", f"a block of type {kind!r:.40} cannot be read; known are {known}")
    return Blocks("\n".join(words), tuple(calls), tuple(results), tuple(beside))


def read_id(fields: Fields, name: str) -> str | None:
    """The id of a call, which some write as a number and some leave out; then results are told apart by their place."""
    found = fields.find(name, str, int)
    return None if found in (None, "") else str(found)


def _answer(block: Fields) -> str:
    if isinstance(block.value.get("content"), list):
        return "\n".join(_texts(block))
    return text_of(block.value)


def _texts(block: Fields) -> Iterator[str]:
    for part in block.each("content"):
        kind = part.get("type", str)
        if kind != "text":
            raise part.error("type", f"a tool result of type {kind!r:.40} cannot be read; expected text")
        yield part.get("text", str)
