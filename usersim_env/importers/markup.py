"""The markup inside the messages of tau-usi: thoughts, tool calls, results and panels, read and written.

``<|think|>…<|/think|>``, ``<function=name><parameter=key>value</parameter>…</function>``, ``<|tool|>result<|/tool|>``
and the panels ``<|canvas|>``, ``<|highlight|>``, ``<|survey|>``. One that is never closed runs to the next opening
mark, or to the end. Source of the format: the data file of arXiv:2603.11245.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from usersim_env.importers.fields import load_json
from usersim_env.importers.recording import Event
from usersim_env.messages import RESPOND

PANELS = ("canvas", "highlight", "survey")
_TOKEN = re.compile(r"<\|(/?)(think|tool|canvas|highlight|survey)\|>|<function=|</function>")
_NAME = re.compile(r"\s*([^\s<>]*)\s*>?")
_PARAMETER = re.compile(r"<parameter=([^>\n]*)>")
_CLOSED = "</parameter>"
_READERS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
"""JSON type of a parameter → what its text must read as; any other type is the text itself."""


class Piece(NamedTuple):
    """A part of a message: ``kind`` is ``text``, ``think``, ``call``, ``tool`` or the name of a panel."""

    kind: str
    text: str
    name: str = ""
    """Of the tool, for a call; its ``text`` is what stands inside."""


def pieces(content: str) -> Iterator[Piece]:
    """The parts of a message in order; blanks between marks are left out, a message without marks is one text."""
    tokens = list(_TOKEN.finditer(content))
    if not any(_opens(token) for token in tokens):
        yield Piece("text", content)
        return
    position = index = 0
    while index < len(tokens):
        token = tokens[index]
        if not _opens(token):  # it closes nothing: it is text
            index += 1
            continue
        kind = token.group(2) or "call"
        if content[position : token.start()].strip():
            yield Piece("text", content[position : token.start()])
        body_end, position, index = _end(content, tokens, index, kind)
        body = content[token.end() : body_end]
        if kind == "call":
            name = _NAME.match(body)
            assert name is not None  # every part of it is optional
            yield Piece(kind, body[name.end() :], name.group(1))
        else:
            yield Piece(kind, body)
    if content[position:].strip():
        yield Piece("text", content[position:])


def _opens(token: re.Match[str]) -> bool:
    return not token.group(1) and token.group() != "</function>"


def _end(content: str, tokens: Sequence[re.Match[str]], index: int, kind: str) -> tuple[int, int, int]:
    """Where the body that opens at a token ends, where reading goes on, and with which token."""
    opening = tokens[index].group()
    closing = "</function>" if kind == "call" else f"<|/{kind}|>"
    for later in range(index + 1, len(tokens)):
        found = tokens[later].group()
        if found == closing:
            return tokens[later].start(), tokens[later].end(), later + 1
        if found == opening:
            break
    for later in range(index + 1, len(tokens)):
        if _opens(tokens[later]):
            return tokens[later].start(), tokens[later].start(), later
    return len(content), len(content), len(tokens)


def arguments_of(body: str, types: Mapping[str, str]) -> dict[str, Any]:
    """The arguments inside a ``<function=…>``; a value has the type that the tool's schema gives its parameter.

    Args:
        body: what stands between the tool's name and ``</function>``.
        types: parameter → JSON type. Of a parameter that is not there, lists and objects are read and anything else is
            the text, because a zip code is no number.
    """
    marks = list(_PARAMETER.finditer(body))
    if not marks:
        return _as_object(body)
    found: dict[str, Any] = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        text = body[mark.end() : following.start() if following is not None else len(body)]
        closed = text.rfind(_CLOSED)
        name = mark.group(1).strip()
        found[name] = _value(_unwrapped(text[:closed] if closed >= 0 else text), types.get(name))
    return found


def _as_object(body: str) -> dict[str, Any]:
    """The other way in which models write a call: one JSON object."""
    if not body.strip().startswith("{"):
        return {}
    try:
        found = load_json(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unwrapped(text: str) -> str:
    """Without the line break that may stand after the opening and before the closing mark."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "\n" else text


def _value(text: str, kind: str | None) -> Any:
    if kind is None and not text.lstrip().startswith(("[", "{")):
        return text
    wanted = (list, dict) if kind is None else _READERS.get(kind, ())
    for read in (load_json, ast.literal_eval) if wanted else ():
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if type(found) in wanted:
            return found
    return text


def as_markup(events: Sequence[Event]) -> str:
    """The agent's actions between two turns of the user side as one message."""
    return "".join(part for event in events for part in _written(event))


def _written(event: Event) -> Iterator[str]:
    for thought in event.get("thoughts", ()):
        yield f"<|think|>{thought}<|/think|>"
    content = event["arguments"].get("content")
    if event["name"] == RESPOND and isinstance(content, str):
        yield content
        return
    yield f"<function={event['name']}>"
    for name, value in event["arguments"].items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"<parameter={name}>{text}{_CLOSED}"
    yield "</function>"
    if not event.get("no_result"):
        yield f"<|tool|>{event['result']}<|/tool|>"
