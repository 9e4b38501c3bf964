"""Text of others made safe to look at: in a terminal, in a report, in a spreadsheet.

A trace may come from anybody. Its words must not move the cursor, rename a terminal, write from right to left over what
stands beside them, or be a formula where a table is opened.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_KEPT = "\n\t"
_HIDDEN = (
    *range(0x80, 0xA0),  # the second set of control characters
    0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # marks of direction
    0x2028, 0x2029,  # ends of lines that are none here
)  # fmt: skip
_SIGNS: dict[int, str] = {
    **{code: f"\\x{code:02x}" for code in (*range(32), 0x7F) if chr(code) not in _KEPT},
    **{code: f"\\u{code:04x}" for code in _HIDDEN},
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula."""


def visible(text: object) -> str:
    """A text with its control characters, marks of direction and lone surrogates as signs; lines and tabs stay."""
    return str(text).translate(_SIGNS).encode("utf-8", "backslashreplace").decode()


def csv_cell(value: Any) -> Any:
    """A value for a cell of a CSV file; a text that a spreadsheet would take for a formula gets an apostrophe first.

    Source: OWASP, "CSV Injection".
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A small table for notebooks; whatever the texts are, they are shown as text."""
    head = "".join(f"<th>{html.escape(visible(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(visible(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    caption = html.escape(visible(title))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
