"""The study's SQLite file: tables, and how a connection to it is opened."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from usersim_env.errors import UsageError
from usersim_env.study.reading import Unreadable, checked_event, checked_sitting, text_of
from usersim_env.study.records import Person, Sitting

FILE = "study.sqlite"
SCHEMA = 1


class Deleted(LookupError):
    """What the person wrote was deleted in the meantime."""


_TABLES = """
CREATE TABLE IF NOT EXISTS study (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS people (
    pseudonym TEXT PRIMARY KEY, ids TEXT NOT NULL, consented REAL NOT NULL, consent TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sittings (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, task TEXT NOT NULL, batch INTEGER NOT NULL,
    number INTEGER NOT NULL UNIQUE, visit TEXT UNIQUE, code TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    state TEXT NOT NULL, last_move TEXT, flags TEXT NOT NULL DEFAULT '[]', reward REAL, overall TEXT, failure TEXT,
    turns INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS consents (version TEXT PRIMARY KEY, consent TEXT NOT NULL);
-- A place is held by one person at a time, whatever the server believes.
CREATE UNIQUE INDEX IF NOT EXISTS places ON sittings (task, batch) WHERE state IN ('open', 'done');
CREATE TABLE IF NOT EXISTS events (
    sitting TEXT NOT NULL REFERENCES sittings (id) ON DELETE CASCADE, n INTEGER NOT NULL, at REAL NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (sitting, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traces (
    sitting TEXT PRIMARY KEY REFERENCES sittings (id) ON DELETE CASCADE, trace TEXT NOT NULL
);
"""

_ADDED: tuple[tuple[str, str, str], ...] = (
    ("sittings", "consent", "TEXT NOT NULL DEFAULT ''"),
    ("sittings", "agreed", "REAL"),
    ("sittings", "used", "REAL NOT NULL DEFAULT 0"),
    ("sittings", "served", "REAL NOT NULL DEFAULT 0"),
    ("sittings", "present", "INTEGER NOT NULL DEFAULT 1"),
    ("sittings", "problem", "TEXT"),
    ("events", "seconds", "REAL"),
)
"""Table, column and definition of what was added since version 0.1; files of before get it when they are opened."""

_TIME = ("used", "served", "present")


def connect(folder: Path) -> sqlite3.Connection:
    """Opens the file and makes its tables; transactions are begun by hand.

    Raises:
        UsageError: it was written by a newer version, or is no such file.
    """
    # For its owner's eyes only, also in a folder that is open to others; SQLite gives its other files the same mode.
    # A file that exists is never opened here: closing it would drop the locks that this process holds on it, and the
    # next program to close the file would remove the log that our last transactions are in.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(folder / FILE, isolation_level=None, timeout=30.0, check_same_thread=False)
    connection.text_factory = text_of
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # acknowledged means on the disk, also when the power goes
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted person is overwritten, not just unlinked
        connection.executescript(_TABLES)
        _add_columns(connection)
        known = read_value(connection, "schema")
        if type(known) is not int:
            put_value(connection, "schema", SCHEMA)
        elif known > SCHEMA:
            raise UsageError(f"{folder / FILE} was written by a newer version (schema {known}, this reads {SCHEMA}).")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UsageError(f"{folder / FILE} is no file of a study: {error}.") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    for table, column, definition in _ADDED:
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")


def opened(folder: Path) -> sqlite3.Connection:
    """The file of a study that there is.

    Raises:
        UsageError: there is none.
    """
    if not (folder / FILE).is_file():
        raise UsageError(f"No study at {folder}: expected the folder that usersim-env serve --out wrote.")
    return connect(folder)


def read_value(connection: sqlite3.Connection, name: str) -> Any:
    """A JSON value of the study; ``None`` if there is none, or none that can be read."""
    row = connection.execute("SELECT value FROM study WHERE name = ?", (name,)).fetchone()
    try:
        return None if row is None else json.loads(row[0])
    except (ValueError, TypeError, RecursionError):
        return None


def put_value(connection: sqlite3.Connection, name: str, value: Any) -> None:
    """A JSON value of the study; what was there before and is another one is kept under ``<name>.before``."""
    text = json.dumps(value)
    connection.execute(
        "INSERT OR REPLACE INTO study SELECT name || '.before', value FROM study WHERE name = ? AND value != ?",
        (name, text),
    )
    connection.execute("INSERT OR REPLACE INTO study VALUES (?, ?)", (name, text))


def note_served(connection: sqlite3.Connection, at: float) -> None:
    """When the study was served last, in seconds since the epoch."""
    connection.execute("INSERT OR REPLACE INTO study VALUES ('served', ?)", (json.dumps(round(at)),))


def read_sittings(connection: sqlite3.Connection) -> Iterator[Sitting]:
    """All sittings, in the order in which they began; what of them cannot be read is their ``problem``."""
    names = list(Sitting.__dataclass_fields__)
    for row, *values in connection.execute(f"SELECT rowid, {', '.join(names)} FROM sittings ORDER BY number"):
        yield checked_sitting(row, dict(zip(names, values, strict=True)))


def read_forgotten(connection: sqlite3.Connection) -> list[str]:
    """Ids of sittings whose data was deleted."""
    return [sitting for (sitting,) in connection.execute("SELECT id FROM sittings WHERE person = ''")]


def read_events(connection: sqlite3.Connection, sitting: str) -> list[tuple[float, dict[str, Any]]]:
    """The events of a sitting, with when each was stored.

    Raises:
        Unreadable: one of them cannot be read, or is missing.
    """
    found = []
    for number, (n, at, text) in enumerate(read_rows(connection, sitting)):
        if n != number:
            raise Unreadable(f"Event {number} is missing.")
        if not isinstance(at, int | float):
            raise Unreadable(f"Event {number} has no time.")
        found.append((float(at), checked_event(number, text)))
    return found


def read_rows(connection: sqlite3.Connection, sitting: str) -> list[tuple[Any, Any, Any]]:
    """Number, time and text of each event as they are in the file, whatever that is."""
    return connection.execute("SELECT n, at, event FROM events WHERE sitting = ? ORDER BY n", (sitting,)).fetchall()


def read_seconds(connection: sqlite3.Connection, sitting: str) -> list[float | None]:
    """Seconds that the person took, for each event; ``None`` for what others did, and in files of older versions."""
    rows = connection.execute("SELECT seconds FROM events WHERE sitting = ? ORDER BY n", (sitting,))
    return [one if isinstance(one, float) and 0 <= one < math.inf else None for (one,) in rows]


def put_person(connection: sqlite3.Connection, person: Person) -> None:
    """A person who has agreed; one who comes again keeps their first consent."""
    row = (person.pseudonym, json.dumps(person.ids), person.consented, person.consent)
    connection.execute("INSERT OR IGNORE INTO people VALUES (?, ?, ?, ?)", row)


def put_sitting(connection: sqlite3.Connection, sitting: Sitting) -> None:
    """A new sitting."""
    fields = vars(sitting) | {"flags": json.dumps(sitting.flags)}
    marks = ", ".join("?" * len(fields))
    connection.execute(f"INSERT INTO sittings ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))


def update_sitting(connection: sqlite3.Connection, sitting: Sitting) -> None:
    """What may change of a sitting; raises `Deleted` if it was deleted."""
    changing = ("ended", "state", "last_move", "flags", "reward", "overall", "failure", "turns", *_TIME)
    fields = vars(sitting) | {"flags": json.dumps(sitting.flags)}
    sets = ", ".join(f"{name} = ?" for name in changing)
    cursor = connection.execute(
        f"UPDATE sittings SET {sets} WHERE id = ? AND person != ''", (*(fields[name] for name in changing), sitting.id)
    )
    if cursor.rowcount != 1:
        raise Deleted(sitting.id)


def put_time(connection: sqlite3.Connection, sitting: Sitting) -> None:
    """How much time a sitting has used."""
    sets = ", ".join(f"{name} = ?" for name in _TIME)
    values = [getattr(sitting, name) for name in _TIME]
    connection.execute(f"UPDATE sittings SET {sets} WHERE id = ? AND state = 'open'", (*values, sitting.id))


def give_up(connection: sqlite3.Connection, sitting: Sitting) -> None:
    """Notes that a sitting has failed and why; all that is stored of it stays as it is, for somebody to look at.

    Raises:
        Deleted: it was deleted.
    """
    cursor = connection.execute(
        "UPDATE sittings SET state = ?, failure = ?, ended = ?, problem = ? "
        "WHERE (id = ? OR 'unreadable-' || rowid = ?) AND person != ''",
        (sitting.state, sitting.failure, sitting.ended, sitting.problem, sitting.id, sitting.id),
    )
    if cursor.rowcount != 1:
        raise Deleted(sitting.id)


def put_events(
    connection: sqlite3.Connection, sitting: str, first: int, at: float, events: list[str], seconds: float | None = None
) -> None:
    """Events from number ``first`` on; one that is there already is an error, so nothing is ever doubled.

    ``seconds``: that the person took for them; ``None`` for what others did.
    """
    rows = [(sitting, first + k, at, event, seconds) for k, event in enumerate(events)]
    connection.executemany("INSERT INTO events (sitting, n, at, event, seconds) VALUES (?, ?, ?, ?, ?)", rows)
