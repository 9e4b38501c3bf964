"""What an exported record carries of a trace of ours, so that it can be imported again as it was."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.importers.fields import Fields
from usersim_env.importers.recording import Recorder
from usersim_env.traces.file import parse
from usersim_env.traces.trace import JsonDict, Trace

KEY = "usersim_env"
"""The field of an exported record that holds it."""

_LEFT_OUT = ("events", "source")


def described(trace: Trace, events: Sequence[Mapping[str, Any]]) -> JsonDict:
    """Everything of a trace but its events, and those too where ``events``, read back from the export, differ.

    The source of an imported trace is reduced to its format and key.
    """
    found: JsonDict = json.loads(trace.to_line())
    described = {name: value for name, value in found.items() if name not in _LEFT_OUT}
    described["source"] = {name: trace.source[name] for name in ("format", "key") if name in trace.source}
    if list(events) != list(trace.events):
        described["events"] = found["events"]
    return described


def end_as(recorder: Recorder, known: Fields) -> None:
    """Words alone do not show how an episode ended; the record does."""
    if known.value.get("ended_by") == "user" and recorder.ended_by is None:
        recorder.stop()
    failure = known.maybe("failure")
    if failure.value and recorder.ended_by is None:
        recorder.fail(*(failure.get(name, str) for name in ("side", "kind", "message")))
    recorder.finish()
    if known.value.get("asks_survey") and known.value.get("ended_by") in ("user", "transfer", "limit"):
        recorder.events.append({"event": "survey", "answers": known.find("survey", dict)})


def restored(known: Fields, recorder: Recorder, layout: list[JsonDict], rest: JsonDict) -> Trace:
    """The trace again, and if it had been imported its record with it; what is wrong with it is a `TraceError`."""
    content = known.value
    whole = {**content, "events": content.get("events", recorder.events)}
    try:
        line = json.dumps(whole, allow_nan=False).encode()
    except ValueError as error:
        raise TraceError(f"{known.where}: {error}") from None
    trace = parse(line, known.where)
    if not trace.source or "events" in content:
        return trace
    return dataclasses.replace(trace, source={**trace.source, "record": rest, "messages": layout})
