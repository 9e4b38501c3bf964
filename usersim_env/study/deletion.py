"""Deleting what people said and who they were, so that no file of the study's folder holds it any more.

A deletion has two halves. The rows go in one transaction, which also notes that the file is to be erased. Then the
file is written anew without the gaps in which deleted words may stand, and its write-ahead log is emptied. The second
half waits for other readers; until it is done the note stays, and whoever opens the study next finishes it.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

from usersim_env.errors import UsageError
from usersim_env.study import database

_NOTE = "erase"
_REWRITE, _EMPTY_LOG = "rewrite", "empty the log"


class Deletion(NamedTuple):
    """What a deletion came to.

    Attributes:
        sittings: whose rows are gone; 0 when only an earlier deletion was finished.
        finished: whether no file holds the words any more.
    """

    sittings: int
    finished: bool


def forget_sitting(connection: sqlite3.Connection, sitting: str) -> None:
    """Deletes what a person said and who they were; only that there was a sitting is left. `erase` does the rest."""
    for table in ("events", "traces"):
        connection.execute(f"DELETE FROM {table} WHERE sitting = ?", (sitting,))
    connection.execute(
        "UPDATE sittings SET person = '', visit = NULL, code = '', state = 'withdrawn', last_move = NULL, "
        "flags = '[]', reward = NULL, overall = NULL, failure = NULL, turns = 0, used = 0, served = 0, problem = NULL, "
        "agreed = NULL WHERE id = ?",
        (sitting,),
    )
    connection.execute("DELETE FROM people WHERE pseudonym NOT IN (SELECT person FROM sittings)")
    connection.execute("INSERT OR REPLACE INTO study VALUES (?, ?)", (_NOTE, json.dumps(_REWRITE)))


def erase(connection: sqlite3.Connection, patience: float = 0.2) -> bool:
    """Finishes deletions whose rows are gone; call it outside a transaction.

    Args:
        connection: to the study's file.
        patience: seconds to wait for other readers and writers.

    Returns:
        Whether nothing is left to do.
    """
    left = database.read_value(connection, _NOTE)
    if left is None:
        return True
    before = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
    try:
        if left != _EMPTY_LOG:
            connection.execute("PRAGMA temp_store = MEMORY")  # or the words would pass through a file elsewhere
            connection.execute("VACUUM")
            connection.execute("UPDATE study SET value = ? WHERE name = ?", (json.dumps(_EMPTY_LOG), _NOTE))
        if not _log_emptied(connection):
            return False
        connection.execute("DELETE FROM study WHERE name = ?", (_NOTE,))
        return True
    except sqlite3.OperationalError:  # somebody else is reading or writing
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


def _log_emptied(connection: sqlite3.Connection) -> bool:
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def forget_person(folder: Path, name: str, several: bool = False, patience: float = 5.0) -> Deletion:
    """Deletes a participant, also beside a server of the study, and finishes what an earlier deletion left.

    Args:
        folder: of the study.
        name: pseudonym, or the platform's id of the person (``PROLIFIC_PID``).
        several: whether it may be more than one person.
        patience: seconds to wait for other programs that read the file.

    Raises:
        UsageError: no study there, nobody of that name in it, or more than one.
    """
    connection = database.opened(folder)
    try:
        found = _people(connection, name)
        if not found:
            if database.read_value(connection, _NOTE) is not None:
                return Deletion(0, erase(connection, patience))
            raise UsageError(
                f"No participant {name!r} in {folder}: give a pseudonym, or the person's id on the platform "
                "(PROLIFIC_PID). Ids of a study or of a visit name nobody."
            )
        if len(found) > 1 and not several:
            raise UsageError(f"{name!r} names {len(found)} people: {', '.join(found)}. Type --yes to delete them all.")
        marks = ", ".join("?" * len(found))
        rows = connection.execute(f"SELECT id FROM sittings WHERE person IN ({marks})", found).fetchall()
        connection.execute("BEGIN IMMEDIATE")
        for (sitting,) in rows:
            forget_sitting(connection, sitting)
        connection.execute("COMMIT")
        return Deletion(len(rows), erase(connection, patience))
    finally:
        connection.close()


def _people(connection: sqlite3.Connection, name: str) -> list[str]:
    """Pseudonyms of who is called so."""
    rows = connection.execute("SELECT pseudonym, ids FROM people").fetchall()
    return [pseudonym for pseudonym, ids in rows if name in (pseudonym, _prolific_id(ids))]


def _prolific_id(ids: object) -> str | None:
    try:
        found = json.loads(ids) if isinstance(ids, str) else None
    except (ValueError, RecursionError):
        return None  # a damaged row keeps nobody else from being deleted
    known = found.get("PROLIFIC_PID") if isinstance(found, dict) else None
    return known if isinstance(known, str) else None
