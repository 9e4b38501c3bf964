"""How the messages of a foreign file map to events, and what of them the events do not hold.

An exporter renders a message from its events; the layout keeps only what the rendering lacks or gives otherwise, so
every message comes back as it was while tool results and talk are stored once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from usersim_env.importers.recording import Event, Recorder
from usersim_env.traces.trace import JsonDict

Render = Callable[[str, Sequence[tuple[int, Event]]], JsonDict]
"""A message from its role and its numbered events."""


def pack(recorder: Recorder, render: Render) -> list[JsonDict]:
    """One entry per message: ``role``, the numbers of its ``events``, and where there is any, ``rest`` (fields that
    differ from the rendered message) and ``without`` (fields that it does not have).
    """
    numbers = {id(event): number for number, event in enumerate(recorder.events)}
    return [_packed(message, events, numbers, render) for message, events in recorder.entries]


def _packed(
    message: Mapping[str, Any], events: Iterable[Event], numbers: Mapping[int, int], render: Render
) -> JsonDict:
    role = str(message.get("role"))
    mine = [(numbers[id(event)], event) for event in events if id(event) in numbers]
    shown = render(role, mine)
    rest = {name: value for name, value in message.items() if name not in shown or shown[name] != value}
    without = [name for name in shown if name not in message]
    entry: JsonDict = {"role": role, "events": [number for number, _ in mine]}
    if rest:
        entry["rest"] = rest
    if without:
        entry["without"] = without
    return entry


def unpack(layout: Iterable[Mapping[str, Any]], events: Sequence[Event], render: Render) -> list[JsonDict]:
    """The messages as they were."""
    found = []
    for entry in layout:
        shown = render(entry["role"], [(number, events[number]) for number in entry["events"]])
        kept = {name: value for name, value in shown.items() if name not in entry.get("without", ())}
        found.append({**kept, **entry.get("rest", {})})
    return found
