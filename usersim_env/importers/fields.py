"""Foreign JSON, read strictly: what is wrong with it is a `TraceError` with file, record and field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from usersim_env.domains.canonical import NotJson, checked
from usersim_env.errors import TraceError

SHOWN = 80
"""Characters of a wrong value that an error shows."""


@dataclass(frozen=True)
class NotJsonHere:
    """Stands in a value for what is no JSON, so that one bad number does not take the records around it along."""

    problem: str


def load_json(text: str | bytes) -> Any:
    """A JSON value; unlike `json.loads` it refuses ``NaN``, a key given twice, and bottomless nesting.

    Raises:
        ValueError: what is wrong with the text.
    """
    value = load_records(text)
    problem = problem_in(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def load_records(text: str | bytes) -> Any:
    """The same, with `NotJsonHere` in the place of what is no JSON where the text around it is.

    Raises:
        ValueError: the text is no JSON at all.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deep") from None


def problem_in(value: object) -> str | None:
    """What the first `NotJsonHere` in a value says."""
    if isinstance(value, NotJsonHere):
        return value.problem
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict | list | tuple | NotJsonHere) and (found := problem_in(part)) is not None:
                return found
    return None


def _no_constant(name: str) -> NotJsonHere:
    return NotJsonHere(f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | NotJsonHere:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        return NotJsonHere(f"the key {twice!r:.{SHOWN}} occurs twice in one object")
    return found


def plain(value: Any, where: str) -> Any:
    """A copy of a JSON value that any trace can hold; an infinite or endless one is a `TraceError`."""
    try:
        return checked(value, "the value")
    except NotJson as error:
        raise TraceError(f"{where}: {error}") from None


class Fields:
    """An object of a foreign file, read field by field.

    Args:
        value: what should be an object.
        where: file, record and field, for errors.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise TraceError(f"{where}: expected an object, got {_shown(value)}")
        self.value: dict[str, Any] = value
        self.where = where

    def get(self, name: str, *kinds: type) -> Any:
        """The value of a field that must be there, of one of the kinds (``bool`` is no number here)."""
        if name not in self.value:
            there = ", ".join(self.value)
            raise TraceError(f"{self.where}: the field {name!r} is missing (there are: {there:.{SHOWN}})")
        found = self.value[name]
        if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise TraceError(f"{self.where}: {name}: expected {names}, got {_shown(found)}")
        return found

    def find(self, name: str, *kinds: type) -> Any:
        """The same for a field that may be missing or null: ``None`` then."""
        return None if self.value.get(name) is None else self.get(name, *kinds)

    def inside(self, name: str) -> Fields:
        """The object in a field."""
        return Fields(self.get(name, dict), f"{self.where}: {name}")

    def maybe(self, name: str) -> Fields:
        """The object in a field that may be missing or null: an empty one then."""
        return Fields(self.find(name, dict) or {}, f"{self.where}: {name}")

    def each(self, name: str) -> Iterator[Fields]:
        """The objects in a field that holds a list."""
        for index, item in enumerate(self.get(name, list)):
            yield Fields(item, f"{self.where}: {name}.{index}")

    def without(self, *names: str) -> dict[str, Any]:
        """All other fields."""
        return {name: value for name, value in self.value.items() if name not in names}

    def error(self, name: str, text: str) -> TraceError:
        """A `TraceError` about one field."""
        return TraceError(f"{self.where}: {name}: {text}")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} ({text[:SHOWN]}{'…' if len(text) > SHOWN else ''})"


def unit_number(fields: Fields, name: str) -> float | None:
    """A reward: a number from 0 to 1, or ``None`` where there is none."""
    found = fields.find(name, int, float)
    if found is None:
        return None
    if not 0 <= found <= 1:
        raise fields.error(name, f"expected a number from 0 to 1, got {found!r:.{SHOWN}}")
    return float(found)


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a chat message: its content, or the text parts of a content list."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
