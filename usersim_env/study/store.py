"""The store: everything that was said, on the disk before anybody is told that it was heard.

One thread owns the writing connection. What many people do at the same time goes to the disk together, in one
transaction, so that the price of a safe write is shared; each job stands or falls by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from usersim_env.errors import UsageError
from usersim_env.person.settings import StudySettings
from usersim_env.study import database
from usersim_env.study.consent import Consent, put_consent
from usersim_env.study.deletion import erase, forget_sitting
from usersim_env.study.records import Person, Sitting
from usersim_env.study.saving import Saving

try:
    import fcntl
except ImportError:  # Windows: two servers on one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

Job: TypeAlias = Callable[[sqlite3.Connection], None]
_SECRET = 32  # bytes
_BATCH = 256  # jobs of one transaction


class _Asked(NamedTuple):
    job: Job
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Store:
    """The folder of one study.

    Args:
        settings: of the study.
        kept: what must be the same each time the study is served, as JSON values (agent, domain, …).

    Raises:
        UsageError: the folder holds another study, or is being served already.
    """

    def __init__(self, settings: StudySettings, kept: dict[str, Any]) -> None:
        folder = settings.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people said is for nobody else on this machine
        self._lock = _locked(folder / "lock")
        with contextlib.ExitStack() as held:
            held.callback(os.close, self._lock)
            # The key of addresses and pseudonyms; without it nobody is recognised.
            self.secret = kept_secret(folder / "secret", secrets.token_bytes(_SECRET))
            if len(self.secret) < _SECRET:
                raise UsageError(
                    f"{folder / 'secret'} holds {len(self.secret)} bytes, expected {_SECRET}: with it, anybody could "
                    "guess the addresses of all conversations. Restore it from a backup. If nobody has taken part "
                    "yet, remove the file, and a new one is made."
                )
            self.connection = database.connect(folder)
            held.callback(self.connection.close)
            self._check(kept, str(folder))
            self.saving = Saving(folder)
            held.pop_all()
        self._jobs: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, args=(folder,), name="usersim-env-store", daemon=True)
        self._thread.start()

    def _check(self, kept: dict[str, Any], folder: str) -> None:
        known = database.read_value(self.connection, "study")
        if not isinstance(known, dict):
            if self.connection.execute("SELECT 1 FROM study WHERE name = 'study'").fetchone() is not None:
                log.error("%s: with which tasks and agent it was served cannot be read; taking those of now", folder)
            database.put_value(self.connection, "study", kept)
        elif changed := sorted(name for name in kept if known.get(name) != kept[name]):
            name = changed[0]
            raise UsageError(
                f"{folder} holds a study with {name} {known.get(name)!r:.200}; now it is {kept[name]!r:.200}. "
                "Serve it as before, or take a new folder."
            )

    async def begin(self, person: Person, sitting: Sitting, consent: Consent) -> None:
        """A person who has agreed, what they agreed to, and their place."""

        def job(connection: sqlite3.Connection) -> None:
            put_consent(connection, consent)
            database.put_person(connection, person)
            database.put_sitting(connection, sitting)

        await self._run(job)

    async def append(
        self,
        sitting: Sitting,
        first: int,
        events: Sequence[dict[str, Any]],
        trace: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Events of a sitting, what they change of it, and its trace if they end it: all or nothing.

        Args:
            sitting: as it is afterwards.
            first: number of the first of the events.
            events: of the sitting.
            trace: its line.
            seconds: that the person took, where the events are theirs.

        Raises:
            Deleted: the sitting was deleted.
            sqlite3.Error, OSError: nothing was stored.
        """
        texts, now = [json.dumps(event) for event in events], time.time()

        def job(connection: sqlite3.Connection) -> None:
            database.update_sitting(connection, sitting)
            database.put_events(connection, sitting.id, first, now, texts, seconds)
            if trace is not None:
                connection.execute("INSERT INTO traces VALUES (?, ?)", (sitting.id, trace))

        await self._run(job)

    async def forget(self, sitting: Sitting) -> None:
        """A sitting whose data the person takes back: only that there was one is left."""
        await self._run(lambda connection: forget_sitting(connection, sitting.id))

    async def give_up(self, sitting: Sitting) -> None:
        """Notes that a sitting has failed for a reason of ours; its events stay as they are."""
        await self._run(lambda connection: database.give_up(connection, sitting))

    async def keep_time(self, sittings: Sequence[Sitting]) -> None:
        """How much time the sittings that are open have used; also where there is none, it is a real write.

        Raises:
            sqlite3.Error, OSError: nothing can be stored.
        """

        def job(connection: sqlite3.Connection) -> None:
            for sitting in sittings:
                database.put_time(connection, sitting)
            database.note_served(connection, time.time())

        await self._run(job)

    def close(self) -> None:
        """Writes what is waiting, and lets the folder go."""
        self._jobs.put(None)
        self._thread.join()
        self.connection.close()
        os.close(self._lock)

    # -- the writing thread ----------------------------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        asked = _Asked(job, loop, loop.create_future())
        self._jobs.put(asked)
        await asyncio.shield(asked.future)  # a cancelled caller must not find it half done

    def _work(self, folder: Path) -> None:
        connection = database.connect(folder)
        try:
            _finish_deletions(connection)  # of a server that was killed, or of `study delete` beside an open reader
            while (first := self._jobs.get()) is not None:
                batch, last = [first], False
                while len(batch) < _BATCH and not self._jobs.empty():
                    following = self._jobs.get()
                    if following is None:
                        last = True
                        break
                    batch.append(following)
                _write(connection, batch, self.saving)
                _finish_deletions(connection)
                if last:
                    return
        finally:
            connection.close()


def _finish_deletions(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # what is left stays noted, and the next write tries again
        erase(connection)


def _write(connection: sqlite3.Connection, batch: Sequence[_Asked], saving: Saving) -> None:
    """One transaction; tells everybody how it went."""
    errors: list[Exception | None] = []
    try:
        saving.begin()
        connection.execute("BEGIN IMMEDIATE")
        for asked in batch:
            errors.append(_one(connection, asked.job))
        connection.execute("COMMIT")
    except Exception as error:
        errors = [error] * len(batch)
        with contextlib.suppress(sqlite3.Error):  # this thread must live on: nobody else can write
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    saving.end(errors)
    for asked, failed in zip(batch, errors, strict=True):
        asked.loop.call_soon_threadsafe(_tell, asked.future, failed)


def _one(connection: sqlite3.Connection, job: Job) -> Exception | None:
    connection.execute("SAVEPOINT one")
    try:
        job(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite has taken back everything, as it may when the disk is full: nobody's job is done
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return error
    connection.execute("RELEASE one")
    return None


def _tell(future: asyncio.Future[None], failed: Exception | None) -> None:
    if future.done():
        return
    if failed is None:
        future.set_result(None)
    else:
        future.set_exception(failed)


def _locked(path: Path) -> int:
    """Holds a folder for this process; the system lets it go when the process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(f"{path.parent} is being served already. Stop that server, or take another folder.") from None
    return descriptor


def kept_secret(path: Path, new: bytes) -> bytes:
    """What a file for the owner's eyes only holds; made once, whole or not at all, whenever the server is killed."""
    if not path.exists():
        made = path.with_name(f"{path.name}.new")
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    return path.read_bytes()
