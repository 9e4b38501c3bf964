"""JSON values in a text that holds other words too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder()
_MOST_TRIES = 64
"""Beginnings that may turn out to be no JSON. A text with more of them only looks like it, and none may take long."""


class JsonSpan(NamedTuple):
    """A JSON object, or a list of objects, and where it stands."""

    start: int
    end: int
    value: Any


def json_spans(text: str) -> Iterator[JsonSpan]:
    """The JSON objects and lists of objects in a text, in order, without those inside others."""
    at = tries = 0
    while tries < _MOST_TRIES:
        found = [start for start in (text.find("{", at), text.find("[", at)) if start >= 0]
        if not found:
            return
        start = min(found)
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at, tries = start + 1, tries + 1
            continue
        if isinstance(value, dict) or (value and isinstance(value[0], dict)):
            yield JsonSpan(start, at, value)
