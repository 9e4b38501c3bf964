"""`Threads`: plain calls that wait for something outside, beside an event loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from usersim_env.errors import UsageError

T = TypeVar("T")


class Threads:
    """Runs at most so many plain calls at once; further ones wait for their turn. One event loop only.

    Not a `ThreadPoolExecutor`: Python waits for its threads when it ends, and a call that waits for a person may
    never return. These threads are daemons, and one that is not waited for any more is left behind.

    Args:
        at_most: calls that may run at once.
        patience: seconds after which a call does not count any more, nor does one that its caller gave up: it waits
            for something, most likely, and not for the processor. ``None``: each counts until it ends.
    """

    def __init__(self, at_most: int = 32, patience: float | None = None) -> None:
        if type(at_most) is not int or at_most < 1:
            raise UsageError(f"at_most is a whole number of at least 1, got {at_most!r}.")
        self._free = asyncio.Semaphore(at_most)
        self._patience = patience

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """What a call returns or raises. When this is cancelled, the call goes on."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        place = contextlib.ExitStack()  # left once, by whoever comes first
        place.callback(self._free.release)
        ended = asyncio.Event()
        result: Future[T] = Future()

        def end() -> None:
            place.close()
            ended.set()

        def work() -> None:
            try:
                result.set_result(call(*arguments))
            except BaseException as error:
                result.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits for this
                loop.call_soon_threadsafe(end)

        threading.Thread(target=work, daemon=True, name="blocking-seat").start()
        if self._patience is not None:
            with place, contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), self._patience)
        await ended.wait()
        return result.result()
