"""Events as text to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from usersim_env.messages import RESPOND
from usersim_env.visible import visible

WIDTH = 200


def render_events(events: Iterable[Mapping[str, Any]]) -> str:
    """One line per event: who, and what was said, called, returned or answered; long texts are cut."""
    return visible("\n".join(line for event in events for line in _lines(event)))


def _lines(event: Mapping[str, Any]) -> list[str]:
    kind = event["event"]
    if kind == "act" and event["name"] == RESPOND and "result" not in event:
        return [f"agent: {event['arguments']['content']}"]
    if kind == "act":
        return [f"agent calls {event['name']}({_cut(json.dumps(event['arguments']))})", f"  -> {_cut(event['result'])}"]
    if kind == "say":
        return [f"user: {event['content']}"]
    if kind == "stop":
        return [f"user: {event['content']}"] * bool(event["content"].strip()) + ["(the user side stops)"]
    if kind == "survey":
        answers = event["answers"] or {"survey": "not answered"}
        return [f"  {field}: {label}" for field, label in answers.items()]
    return [f"(failed: {event['side']} {event['kind']}: {event['message']})"]


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[:WIDTH] + f"… ({len(text)} characters)"
