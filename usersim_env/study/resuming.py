"""A sitting that was open when the server stopped: what is stored of it, or why it cannot go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from usersim_env.conversation.machine import Event
from usersim_env.errors import UsersimError
from usersim_env.study import database
from usersim_env.study.closing import waits
from usersim_env.study.reading import failed
from usersim_env.study.records import Sitting


class Past(NamedTuple):
    """What is stored of a sitting that is taken up again.

    Attributes:
        events: in order.
        waits: seconds that the person took for each of their turns.
        before: of the seconds that the person has used, those of turns that are over.
    """

    events: Sequence[Event] = ()
    waits: Sequence[float] = ()
    before: float = 0.0


def past_of(connection: sqlite3.Connection, record: Sitting) -> Past:
    """What is stored of a sitting.

    Raises:
        Unreadable: it cannot be read.
    """
    stored = database.read_events(connection, record.id)
    seconds = database.read_seconds(connection, record.id)
    found = waits(record.started, stored, seconds)
    return Past([event for _, event in stored], found, sum(one for one in seconds if one is not None))


def given_up(record: Sitting, error: Exception) -> Sitting:
    """A sitting that could not be taken up. The words of a foreign error may be the person's, and are left out."""
    problem = (
        str(error) if isinstance(error, UsersimError) else f"Its events do not fit together ({type(error).__name__})."
    )
    return replace(failed(record), problem=problem)
