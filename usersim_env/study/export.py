"""A study's traces, as the common currency: kind ``human``, batch, pseudonym, and the terms that people agreed to."""

from __future__ import annotations

import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from usersim_env.errors import TraceError, UsageError
from usersim_env.study import database
from usersim_env.study.consent import Consents, stamped
from usersim_env.study.reading import BROKEN, UNREADABLE
from usersim_env.traces.file import parse


def study_lines(connection: sqlite3.Connection, left_out: Callable[[str], object]) -> Iterator[str]:
    """Every trace as its line, in the order in which people began, with the terms that its person agreed to.

    Args:
        connection: to the study's file.
        left_out: is told of each trace that cannot be read, and of each sitting that failed without one.
    """
    consents = Consents(connection)
    # All at once: a query that is left open would keep a deletion from being finished.
    rows = connection.execute(
        "SELECT traces.sitting, trace, consent, agreed FROM traces LEFT JOIN sittings ON sittings.id = traces.sitting "
        "ORDER BY sittings.number"
    ).fetchall()
    for sitting, line, version, agreed in rows:
        problem = _problem(line, f"The trace of session {sitting!r:.40}")
        if problem is None:
            trace = stamped(json.loads(line), consents.version(str(version)), agreed)
            yield json.dumps(trace, separators=(",", ":")) + "\n"
        else:
            left_out(f"{problem}, so it is left out. What was stored of the session is on the admin page.")
    failed = "SELECT id, failure FROM sittings WHERE failure IN (?, ?) AND id NOT IN (SELECT sitting FROM traces)"
    for sitting, failure in connection.execute(failed, (UNREADABLE, BROKEN)).fetchall():
        left_out(f"Session {sitting!r:.40} has no trace ({failure}). What was stored of it is on the admin page.")


def _problem(line: object, where: str) -> str | None:
    """What is wrong with a trace's line, in words that quote nothing of it."""
    if not isinstance(line, str):
        return f"{where} is no text"
    try:
        parse(line.encode(), where)
    except TraceError as error:
        return str(error).partition(" (got ")[0]
    except (ValueError, RecursionError):
        return f"{where} is no JSON"
    return None


def export_study(folder: Path, out: str | os.PathLike[str]) -> int:
    """Writes the traces of a study into a new file; returns how many. The study may be going on.

    Raises:
        UsageError: no study there, or the file exists.
    """
    path = Path(out)
    if path.exists():
        raise UsageError(f"{path} exists. Remove it or name another file.")
    connection = database.opened(folder)
    try:
        lines = list(study_lines(connection, lambda text: warnings.warn(f"{folder}: {text}", stacklevel=3)))
    finally:
        connection.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)
