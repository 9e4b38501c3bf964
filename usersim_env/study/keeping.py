"""Beside the conversations: the time that they use is stored, and whether anything can be stored is tried out."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence

from usersim_env.person.clock import Now, Stopwatch
from usersim_env.person.faults import fault
from usersim_env.study.sitting import LiveSitting
from usersim_env.study.store import Store

log = logging.getLogger(__name__)

EVERY, AGAIN = 10.0, 2.0
"""Seconds between two writes, and while they fail."""


class TimeKeeper:
    """Stores how much time the open sittings have used, so that a server that is killed does not give it back.

    It writes also where nobody is there: that is how a disk that has filled up, or has room again, is noticed.

    Args:
        store: of the study.
        now: the clock.
    """

    def __init__(self, store: Store, now: Now = time.monotonic) -> None:
        self._store, self._watch, self._since = store, Stopwatch(now), EVERY
        self._writing: asyncio.Task[None] | None = None
        self._well = True

    def look(self, sittings: Sequence[LiveSitting]) -> None:
        """Writes where it is time to; to be called often, and returns at once."""
        trouble = self._store.saving.trouble
        if self._well != (trouble is None):
            self._well = trouble is None
            log.error("everything can be saved again" if self._well else f"nothing can be saved: {trouble}")
        self._since += self._watch.lap()
        idle = self._writing is None or self._writing.done()
        if idle and self._since >= (EVERY if self._well else AGAIN):
            self._since = 0.0
            self._writing = asyncio.create_task(self._write(sittings))

    async def _write(self, sittings: Sequence[LiveSitting]) -> None:
        try:
            await self._store.keep_time([live.timed for live in sittings])
        except (sqlite3.Error, OSError):
            pass  # the store knows, and the next look says so
        except Exception as error:
            log.error("the time that was used could not be stored: %s", fault(error))


def each(works: Sequence[Callable[[], object]]) -> None:
    """Does all of them, whatever one of them raises."""
    for work in works:
        try:
            work()
        except Exception as error:
            log.error("one look after the open sessions has failed, trying again: %s", fault(error))
