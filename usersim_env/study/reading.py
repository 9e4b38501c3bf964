"""What a study's file holds, checked as it is read: what cannot be used is found before anybody depends on it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from usersim_env.conversation.machine import Event
from usersim_env.errors import UsersimError
from usersim_env.study.records import Sitting
from usersim_env.traces.file import EVENT_FIELDS

UNREADABLE, BROKEN = "study:unreadable", "study:error"
"""Failures of a sitting that could not be read, and of one in which the server itself made a mistake: neither has a
trace."""


class Unreadable(UsersimError):
    """What the file holds of a sitting cannot be read; says which part, and quotes nobody's words."""


def text_of(stored: bytes) -> str:
    """A text of the file. Bytes that are no UTF-8 become half characters, which no check lets pass.

    SQLite would raise an error otherwise, and with it everybody's rows of the same query would be lost.
    """
    return stored.decode("utf-8", "surrogateescape")


@cache
def _columns() -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(Sitting, include_extras=True).items()}


def checked_sitting(row: int, fields: Mapping[str, Any]) -> Sitting:
    """A sitting as it is stored.

    Where fields cannot be used, they have stand-ins and ``problem`` names them. If the sitting was open, or nobody can
    tell, it has failed: it cannot go on, and its place is free for somebody else.

    Args:
        row: number of its row in the file.
        fields: column → value.
    """
    given: dict[str, Any] = {**fields, "flags": _labels(fields["flags"]), "present": fields["present"] != 0}
    wrong = {name for name, column in _columns().items() if not _fits(column, given[name])}
    if not wrong:
        return Sitting(**given)
    stand_ins = _stand_ins(row)
    given |= {name: stand_ins[name] for name in wrong}
    sitting = Sitting(**given)
    several = "s" * (len(wrong) > 1)
    problem = f"The column{several} {', '.join(sorted(wrong))} of this session cannot be read."
    if sitting.state == "open":
        sitting = failed(sitting)
    return replace(sitting, problem=problem)


def _fits(column: TypeAdapter[Any], value: object) -> bool:
    try:
        column.validate_python(value, strict=True)
        if isinstance(value, str):
            value.encode()  # half a character, see `text_of`
    except (ValidationError, UnicodeEncodeError):
        return False
    return True


def failed(sitting: Sitting) -> Sitting:
    """A sitting that cannot go on because it cannot be read."""
    return replace(sitting, state="failed", failure=UNREADABLE, ended=time.time(), reward=None, overall=None)


def _stand_ins(row: int) -> dict[str, Any]:
    text = "unreadable"
    return vars(Sitting(f"{text}-{row}", text, text, batch=1, number=0, visit=None, code="", started=time.time()))


def _labels(flags: object) -> tuple[Any, ...] | None:
    """The list of flags; ``None``, which no sitting has, where there is none."""
    try:
        found = json.loads(flags) if isinstance(flags, str) else None
    except (ValueError, RecursionError):
        return None
    return tuple(found) if isinstance(found, list) else None


def checked_event(number: int, text: object) -> Event:
    """An event as it is stored.

    Args:
        number: of the event in its sitting, from 0.
        text: what the file holds.

    Raises:
        Unreadable: it is none.
    """
    try:
        event = json.loads(text.encode()) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise Unreadable(f"Event {number} is no JSON object.")
    kind = event.get("event")
    fields = EVENT_FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise Unreadable(f"Event {number} is none of {', '.join(EVENT_FIELDS)}.")
    for name, expected in fields.items():
        if name not in event or not isinstance(event[name], expected):
            raise Unreadable(f"Event {number}, {kind}, has no usable {name!r}.")
    return event
