"""A study's traces, as the common currency: kind ``human``, batch, pseudonym, and the terms that people agreed to."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from usersim_env.errors import UsageError
from usersim_env.study import database
from usersim_env.study.consent import Consents, stamped


def study_lines(connection: sqlite3.Connection) -> Iterator[str]:
    """Every trace as its line, in the order in which people began, with the terms that its person agreed to."""
    consents = Consents(connection)
    rows = connection.execute(
        "SELECT trace, sittings.consent, agreed FROM traces JOIN sittings ON sittings.id = traces.sitting "
        "ORDER BY sittings.number"
    ).fetchall()
    for line, version, agreed in rows:
        trace = stamped(json.loads(line), consents.version(version), agreed)
        yield json.dumps(trace, separators=(",", ":")) + "\n"


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
        lines = list(study_lines(connection))
    finally:
        connection.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)
