"""From what a language model wrote to calls: Hermes tags, OpenAI messages, ReAct. Pure; nothing here raises on text.

Every reader returns the calls in order, or a `Malformed` that says what is wrong. Words without any call are said to
the user side; words beside a call are thoughts, and nobody hears them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from usersim_env.llm.message import read_assistant
from usersim_env.llm.thoughts import Unreadable, read_written
from usersim_env.messages import RESPOND


class Malformed(NamedTuple):
    """Text that is no action: ``problem`` is one sentence for the model to read."""

    problem: str


Call: TypeAlias = dict[str, Any]
Parsed: TypeAlias = "list[Call] | Malformed"

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FENCE = re.compile(r"^```\w*\s*\n(.*)\n\s*```$", re.S)
_ACTION = re.compile(r"^[ \t]*Action[ \t]*:", re.M)
_INPUT = re.compile(r"^[ \t]*Action Input[ \t]*:", re.M)
_ANSWER = re.compile(r"^[ \t]*(?:Final )?Answer[ \t]*:", re.M)
_OBSERVATION = re.compile(r"^[ \t]*Observation[ \t]*:", re.M)


def read_hermes(text: str) -> Parsed:
    """``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, once or more, or one bare JSON object of that shape."""
    spoken = _spoken(text)
    if isinstance(spoken, Malformed):
        return spoken
    if spoken.startswith("{"):
        return _each([spoken], "The JSON object")
    if spoken.count(_OPEN) != spoken.count(_CLOSE):
        return Malformed(f"{_OPEN} and {_CLOSE} do not come in pairs.")
    if _OPEN not in spoken:
        return _say(spoken)
    pieces = [piece.split(_CLOSE) for piece in spoken.split(_OPEN)]
    if len(pieces[0]) > 1 or any(len(piece) != 2 for piece in pieces[1:]):
        return Malformed(f"{_OPEN} and {_CLOSE} do not come in pairs.")
    return _each([piece[0] for piece in pieces[1:]], f"What stands inside {_OPEN}")


def read_openai(text: str) -> Parsed:
    """The JSON text of an assistant message or of its ``tool_calls``; any other text is words."""
    spoken = _spoken(text)
    if isinstance(spoken, Malformed):
        return spoken
    if not spoken.startswith(("{", "[")):
        return _say(spoken)
    content = _json(spoken, "The message")
    if isinstance(content, list):
        return read_message({"tool_calls": content})
    return content if isinstance(content, Malformed) else read_message(content)


def read_react(text: str) -> Parsed:
    """``Action: name`` and ``Action Input: {…}``, or ``Action:`` and a JSON call, or ``Final Answer: …``.

    What follows an ``Observation:`` was made up by the model and is left out (Yao et al. 2022, arXiv:2210.03629).
    """
    spoken = _spoken(text)
    if isinstance(spoken, Malformed):
        return spoken
    own = _OBSERVATION.split(spoken, maxsplit=1)[0]
    action = _ACTION.search(own)
    if action is None:
        answer = _ANSWER.search(own)
        if answer is None:
            return Malformed("There is no line that begins with 'Action:' or 'Final Answer:'.")
        return _say(own[answer.end() :].strip())
    name, *rest = _INPUT.split(own[action.end() :], maxsplit=1)
    name = name.strip()
    if not rest:
        return _each([name], "What follows 'Action:'") if name.startswith("{") else _no_input(name)
    arguments = _json(rest[0], "What follows 'Action Input:'")
    if isinstance(arguments, Malformed) and name == RESPOND:
        return _say(rest[0].strip())
    return arguments if isinstance(arguments, Malformed) else _calls([{"name": name, "arguments": arguments}])


def read_message(message: Any) -> Parsed:
    """An OpenAI assistant message with words or ``tool_calls``, as a mapping."""
    if not isinstance(message, Mapping):
        return Malformed(f"An assistant message is an object, not {type(message).__name__}.")
    try:
        words, calls = read_assistant(message)
        return _calls(list(calls)) if calls else _say(read_written(words).words)
    except Unreadable as error:
        return Malformed(f"The message is no action: {error}.")


FORMATS: Mapping[str, Callable[[str], Parsed]] = {
    "hermes": read_hermes,
    "openai": read_openai,
    "react": read_react,
}
"""Name → reader of a text."""


def _spoken(text: str) -> str | Malformed:
    """The text without thoughts and without the fence around it. JSON is taken as it is: what it says is read later."""
    if (whole := _unfenced(text)).startswith(("{", "[")) and not isinstance(_json(whole, ""), Malformed):
        return whole
    try:
        return _unfenced(read_written(text).words)
    except Unreadable as error:
        return Malformed(f"The text is no action: {error}.")


def _unfenced(text: str) -> str:
    fenced = _FENCE.match(text.strip())
    return (fenced.group(1) if fenced else text).strip()


def _say(words: str) -> Parsed:
    if not words:
        return Malformed("There are neither words nor a call.")
    return _calls([{"name": RESPOND, "arguments": {"content": words}}])


def spoken_call(call: Call) -> Call | Malformed:
    """A call as it may be made: what ``respond`` says holds no thought any more. Other arguments are data."""
    content = call["arguments"].get("content") if call["name"] == RESPOND else None
    if not isinstance(content, str) or not content.strip():
        return call
    try:
        words = read_written(content).words
    except Unreadable as error:
        return Malformed(f"What is said to the customer cannot be told from a thought: {error}.")
    return {"name": RESPOND, "arguments": {**call["arguments"], "content": words}} if words != content.strip() else call


def _no_input(name: str) -> Malformed:
    return Malformed(f"'Action: {name[:80]}' has no line that begins with 'Action Input:'.")


def _json(text: str, what: str) -> Any:
    fenced = _FENCE.match(text.strip())
    try:
        return json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError) as error:
        return Malformed(f"{what} is not JSON ({str(error)[:120]}).")


def _each(texts: list[str], what: str) -> Parsed:
    contents = [_json(text, what) for text in texts]
    return next((content for content in contents if isinstance(content, Malformed)), None) or _calls(contents)


def _calls(contents: list[Any]) -> Parsed:
    """Every call, or what is wrong with the first that is none: half of what was asked for is never done."""
    calls: list[Call] = []
    for content in contents:
        if not isinstance(content, Mapping):
            return Malformed(f"A call is an object with 'name' and 'arguments', not {type(content).__name__}.")
        name = content.get("name")
        if not isinstance(name, str) or not name:
            return Malformed("A call has a 'name' that is text.")
        arguments = content.get("arguments", content.get("parameters"))
        if isinstance(arguments, str):
            arguments = _json(arguments if arguments.strip() else "{}", f"'arguments' of {name[:80]}")
        if isinstance(arguments, Malformed):
            return arguments
        if arguments is not None and not isinstance(arguments, Mapping):
            return Malformed(f"'arguments' of {name[:80]} is an object, not {type(arguments).__name__}.")
        call = spoken_call({"name": name, "arguments": dict(arguments or {})})
        if isinstance(call, Malformed):
            return call
        calls.append(call)
    return calls
