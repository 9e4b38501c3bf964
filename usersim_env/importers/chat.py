"""Chat-completion messages (OpenAI's shape) as events and back; τ-bench's results are made of them too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.importers.blocks import Blocks, Call, Result, read_blocks, read_id
from usersim_env.importers.fields import Fields, load_json, text_of
from usersim_env.importers.recording import Event, Recorder
from usersim_env.messages import RESPOND
from usersim_env.traces.trace import JsonDict

STOP = "###STOP###"
"""With this word the user side of τ-bench and its relatives ends an episode; it stands inside the last message."""

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def read_message(
    recorder: Recorder, message: Fields, first_call_only: bool = False, stops: Sequence[str] = (STOP,)
) -> None:
    """One message told to a recorder.

    Args:
        recorder: of the episode.
        message: in the shape of OpenAI's chat completions.
        first_call_only: of several tool calls in one message only the first was executed, as in τ-bench.
        stops: words by which the user side ends the episode, anywhere in a message.

    Raises:
        TraceError: which field is wrong.
    """
    role = message.get("role", str)
    if role not in ROLES:
        raise message.error("role", f"expected {', '.join(ROLES)}, got {role!r:.80}")
    blocks = read_blocks(message)
    recorder.begin(message.value)
    for kind in blocks.beside:
        recorder.notes.append(f"{message.where}: a block of type {kind} is kept in source alone")
    results = list(blocks.results)
    if role in ("tool", "function"):
        failed = message.value.get("error")  # Inspect's: the words that the model has seen
        said = failed.get("message") if isinstance(failed, dict) else None
        text = blocks.text or (said if isinstance(said, str) else "")
        results.append(Result(text, read_id(message, "tool_call_id"), True if isinstance(failed, dict) else None))
    for result in results:
        if not recorder.result(result.text, result.id, result.error) and not recorder.ended_by:
            recorder.notes.append(f"{message.where}: a tool result without a call")
    if role == "user" and (blocks.text or not results):
        read_user(recorder, blocks.text, stops)
    elif role == "assistant":
        _assistant(recorder, message, blocks, first_call_only)


def read_talk(recorder: Recorder, messages: Sequence[Fields]) -> None:
    """Messages of a format that has no stop word: one counts at the end of the last message of the user alone."""
    speaking = [number for number, message in enumerate(messages) if message.value.get("role") == "user"]
    for number, message in enumerate(messages):
        last = len(speaking) > 1 and number == speaking[-1]
        stops = (STOP,) if last and text_of(message.value).rstrip().endswith(STOP) else ()
        read_message(recorder, message, stops=stops)


def read_user(recorder: Recorder, text: str, stops: Sequence[str]) -> None:
    """Words of the user side; one of the stop words anywhere in them ends the episode."""
    if any(stop in text for stop in stops):
        for stop in stops:
            text = text.replace(stop, "")
        recorder.stop(text.strip())
    else:
        recorder.say(text)


def _assistant(recorder: Recorder, message: Fields, blocks: Blocks, first_call_only: bool) -> None:
    text, calls = blocks.text, [*blocks.calls, *_calls(message)]
    if message.find("function_call", dict):
        function = message.inside("function_call")
        calls.append(Call(function.get("name", str), _arguments(function), None))
    if not calls:
        recorder.respond(text)
        return
    for number, made in enumerate(calls[:1] if first_call_only else calls):
        recorder.call(made.name, made.arguments, made.id, text if text and number == 0 else None)


def _calls(message: Fields) -> Iterator[Call]:
    """The tool calls beside the content.

    OpenAI has name and arguments in ``function``, Inspect the name in ``function`` and the arguments beside it,
    verifiers both beside each other, in its older files as a text.
    """
    for number, item in enumerate(message.find("tool_calls", list) or ()):
        where = f"{message.where}: tool_calls.{number}"
        call = Fields(_decoded(item, where) if isinstance(item, str) else item, where)
        inside = isinstance(call.value.get("function"), dict)
        beside = isinstance(call.value.get("function"), str)
        function = call.inside("function") if inside or not (beside or "name" in call.value) else call
        name = "function" if beside else "name"
        if "arguments" not in function.value and (odd := _OTHER_ARGUMENTS & function.value.keys()):
            raise function.error(min(odd), "arguments stand in 'arguments'; this spelling is not known")
        yield Call(function.get(name, str), _arguments(function), read_id(call, "id"))


_OTHER_ARGUMENTS = frozenset({"args", "input", "parameters", "kwargs"})


def _decoded(text: str, where: str) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise TraceError(f"{where}: not JSON: {error} (got {text[:80]!r})") from None


def _arguments(function: Fields) -> Any:
    """Arguments as JSON, as an object, or as nothing at all, which is no arguments."""
    given = function.find("arguments", str, dict)
    if isinstance(given, dict):
        return given
    text = given or ""
    try:
        found = load_json(text if text.strip() else "{}")
    except ValueError as error:
        raise function.error("arguments", f"not JSON: {error} (got {text[:80]!r})") from None
    if not isinstance(found, dict):
        raise function.error("arguments", f"expected an object, got {text[:80]!r}")
    return found


def messages_of(events: Iterable[Event], system: str | None) -> Iterator[JsonDict]:
    """The chat of an episode, seen from the agent's seat.

    Args:
        events: of the episode.
        system: the first message, where there is to be one.
    """
    if system is not None:
        yield {"role": "system", "content": system}
    for number, event in enumerate(events):
        if event["event"] in ("say", "stop"):
            if event["event"] == "say" or event["content"]:
                yield {"role": "user", "content": event["content"]}
        elif event["event"] == "act":
            yield as_message("assistant", [(number, event)])
            if not is_talk(event) and not event.get("no_result"):
                yield {**as_message("tool", [(number, event)]), "name": event["name"]}


def as_message(role: str, events: Sequence[tuple[int, Event]]) -> JsonDict:
    """A message from its events; a role that has none gets no content."""
    if role == "user":
        return {"role": role, "content": events[0][1].get("content", "") if events else ""}
    if role == "assistant":
        return _as_assistant(events)
    if role == "tool" and events:
        number, event = events[0]
        return {"role": role, "tool_call_id": call_id(number, event), "content": event.get("result", "")}
    return {"role": role}


def _as_assistant(events: Sequence[tuple[int, Event]]) -> JsonDict:
    calls = [(number, event) for number, event in events if not is_talk(event)]
    if not calls:
        return {"role": "assistant", "content": events[0][1]["arguments"]["content"] if events else ""}
    tool_calls = [
        {
            "id": call_id(number, event),
            "type": "function",
            "function": {"name": event["name"], "arguments": json.dumps(event["arguments"], ensure_ascii=False)},
        }
        for number, event in calls
    ]
    return {"role": "assistant", "content": calls[0][1].get("text"), "tool_calls": tool_calls}


def is_talk(event: Event) -> bool:
    """Whether an event is the agent's words to the user side."""
    return event["event"] == "act" and event["name"] == RESPOND and "result" not in event


def call_id(number: int, event: Event) -> str:
    """The id of a recorded call, else one made of the event's number."""
    return str(event.get("call_id", f"call_{number}"))
