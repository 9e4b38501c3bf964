"""Which recorded request comes nearest to one that was not recorded, and how the two differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHOWN = 3
WIDTH = 36


def describe_nearest(body: Mapping[str, Any], occurrence: int, entries: Iterable[Mapping[str, Any]]) -> str:
    """One sentence that names the entry with the fewest differences and lists the first of them."""
    best: list[str] | None = None
    name = ""
    for entry in entries:
        found = list(_differences(entry["request"], body))
        if entry["occurrence"] != occurrence:
            found.append(f"repetition {entry['occurrence']} recorded, {occurrence} asked")
        if best is None or len(found) < len(best):
            best, name = found, entry["key"]
    if best is None:
        return "It holds no answer at all."
    more = f" and {len(best) - SHOWN} more" if len(best) > SHOWN else ""
    return f"The nearest entry is {name}; it differs in {'; '.join(best[:SHOWN])}{more}."


def _differences(recorded: Any, asked: Any, where: str = "") -> Iterator[str]:
    """Paths at which two JSON values differ, with both sides cut to what can be read."""
    if isinstance(recorded, Mapping) and isinstance(asked, Mapping):
        for name in sorted(recorded.keys() | asked.keys()):
            at = f"{where}.{name}" if where else name
            if name not in asked or name not in recorded:
                yield f"{at}: {'asked only' if name in asked else 'recorded only'}"
            else:
                yield from _differences(recorded[name], asked[name], at)
    elif isinstance(recorded, list) and isinstance(asked, list):
        for index, (left, right) in enumerate(zip(recorded, asked, strict=False)):
            yield from _differences(left, right, f"{where}[{index}]")
        if len(recorded) != len(asked):
            yield f"{where}: {len(recorded)} recorded, {len(asked)} asked"
    elif recorded != asked:
        yield f"{where}: {_around(recorded, asked)} recorded, {_around(asked, recorded)} asked"


def _around(text: Any, other: Any) -> str:
    """The part of a long text where it begins to differ."""
    if not isinstance(text, str) or not isinstance(other, str):
        return repr(text)[:WIDTH]
    pairs = enumerate(zip(text, other, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(text), len(other)))
    start = max(0, first - 20)
    return ("…" if start else "") + repr(text[start : start + WIDTH])
