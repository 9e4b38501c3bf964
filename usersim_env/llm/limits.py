"""How many calls one address gets, at once and in a minute, from all seats and episodes of a process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import cache
from weakref import WeakKeyDictionary

from usersim_env.llm.model import Model


class Gate:
    """Before one address. Calls of plain code and of event loops share the rate; each kind has its own places.

    Args:
        max_parallel: calls at once, in each event loop and in the plain code of the process; ``None``: any number.
        rpm: calls in a minute, evenly spaced; ``None``: any number.
    """

    def __init__(self, max_parallel: int | None = None, rpm: float | None = None) -> None:
        self._max_parallel = max_parallel
        self._interval = 0.0 if rpm is None else 60.0 / rpm
        self._lock = threading.Lock()
        self._next = 0.0
        self._plain = threading.BoundedSemaphore(max_parallel) if max_parallel is not None else None
        self._awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Waits until a call may be made, and holds its place meanwhile."""
        with self._plain or nullcontext():
            time.sleep(self._pause())
            yield

    @asynccontextmanager
    async def apassed(self) -> AsyncIterator[None]:
        """Async twin of `passed`."""
        async with self._places() or nullcontext():
            if (pause := self._pause()) > 0:
                await asyncio.sleep(pause)
            yield

    def _pause(self) -> float:
        """Takes the next turn, and says in how many seconds it is."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._interval
        return at - now

    def _places(self) -> asyncio.Semaphore | None:
        """Those of the running loop."""
        if self._max_parallel is None:
            return None
        loop = asyncio.get_running_loop()
        found = self._awaited.get(loop)
        if found is None:
            found = self._awaited[loop] = asyncio.Semaphore(self._max_parallel)
        return found


def gate(model: Model) -> Gate:
    """The gate before a model's address: one for all models there that have the same limits."""
    address = model.api_base if model.api_base is not None else model.name.partition("/")[0]
    return _gate(address, model.max_parallel, model.rpm)


@cache
def _gate(address: str, max_parallel: int | None, rpm: float | None) -> Gate:
    return Gate(max_parallel, rpm)
