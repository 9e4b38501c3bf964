"""What a seat says of its episode beside its turns (``notes()``): from outside, so it is checked where it is read."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from usersim_env.domains.canonical import evidence
from usersim_env.errors import told

DEAREST = 1e9
"""US dollars that a seat may report for one episode; a greater number is a mistake, and two of them may overflow."""


def kept_notes(session: object, seat: str) -> dict[str, Any]:
    """The notes of a session as JSON values, whatever came: bad notes must not cost the episode.

    Args:
        session: of a seat; one without ``notes()`` has none.
        seat: whose session it is, at the beginning of a warning, such as ``The agent 'mine'``.

    Returns:
        The notes, without parts that are not JSON. ``cost`` is US dollars, or ``None`` where what was reported is no
        cost, which a warning says. ``{"notes_failed": …}`` where `notes` raised.
    """
    try:
        give = getattr(session, "notes", None)
        notes = dict(give()) if callable(give) else {}
        reported = notes.get("cost")
        cost = known_cost(reported)
        if "cost" in notes:
            notes["cost"] = cost
        kept: dict[str, Any] = evidence(notes)
    except Exception as error:
        return {"notes_failed": told(error)}
    if reported is not None and cost is None:
        # Without the value, so that Python shows it once for each seat and not once for each episode.
        warnings.warn(
            f"{seat} reports a cost in notes() that is no number of US dollars from 0 to {DEAREST:g}: the cost of "
            "its episodes counts as unknown. Report a float, or None where the price is not known.",
            stacklevel=3,
        )
    return kept


def known_cost(value: object) -> float | None:
    """US dollars from 0 to `DEAREST`; ``None`` for anything else, which is an unknown cost and never 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if 0 <= value <= DEAREST else None
