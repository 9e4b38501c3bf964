"""Whether what people say can be saved at all; nobody's time runs, and nobody is let in, while it cannot."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from usersim_env.person.clock import Now
from usersim_env.study.database import FILE, Deleted

SLOW = 5.0
"""Seconds that a write may take before it counts as one that does not succeed: somebody else holds the file."""


class Saving:
    """What is known of the file of a study, for the thread that writes and for whoever asks.

    Args:
        folder: of the study, whose file is open already.
        now: the clock.
    """

    def __init__(self, folder: Path, now: Now = time.monotonic) -> None:
        self._now = now
        self._files = [folder / FILE, folder / f"{FILE}-wal"]  # SQLite keeps the second one while the first is open
        self._known: dict[Path, tuple[int, int]] = {}
        self._since: float | None = None
        self._failed: str | None = None
        self._check()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be saved now, in words for whoever runs the study; ``None`` while all is well."""
        try:
            self._check()
        except OSError as error:
            return str(error)
        since = self._since
        if since is not None and self._now() - since > SLOW:
            return f"a write has been waiting for {self._now() - since:.0f} s: does another program hold {FILE}?"
        return None if self._failed is None else f"the last write failed: {self._failed}"

    def begin(self) -> None:
        """A write begins.

        Raises:
            OSError: it would go into a file that nobody will find again.
        """
        self._since = self._now()
        self._check()

    def end(self, errors: list[Exception | None]) -> None:
        """The write is done; what a job of it could not do for a reason of its own is not the file's fault."""
        found = [e for e in errors if isinstance(e, sqlite3.Error | OSError) and not isinstance(e, _OWN)]
        self._failed = str(found[0]) if found else None
        self._since = None

    def _check(self) -> None:
        for path in self._files:
            try:
                found = path.stat()
            except FileNotFoundError:
                if path in self._known:
                    raise OSError(f"{path.name} was removed while it is served; put it back, or serve again") from None
                continue
            if self._known.setdefault(path, (found.st_dev, found.st_ino)) != (found.st_dev, found.st_ino):
                raise OSError(f"{path.name} was replaced by another file while it is served; stop, and serve again")


_OWN = (sqlite3.IntegrityError, Deleted)
