"""Plain functions beside the event loop; one that never returns is given up with its thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_ROOM = 5.0  # seconds; who takes longer waits for something, most likely, and not for the processor


class Threads:
    """A thread for each call. Unlike those of an executor, one that hangs takes no room from others and does not
    keep the process from ending.

    Args:
        most: calls at the same time; the others wait. One that takes longer than 5 s, or that its caller gave up,
            does not count any more.
    """

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns or raises."""
        async with self._free:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[T] = loop.create_future()

            def call() -> None:
                try:
                    result = function(*arguments)
                except BaseException as raised:
                    # A future cannot hold a StopIteration.
                    error = RuntimeError(repr(raised)) if isinstance(raised, StopIteration) else raised
                    _tell(loop, future, lambda: future.set_exception(error))
                else:
                    _tell(loop, future, lambda: future.set_result(result))

            threading.Thread(target=call, name="usersim-env-agent", daemon=True).start()
            await asyncio.wait({future}, timeout=_ROOM)
        return await future


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], tell: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(lambda: None if future.done() else tell())
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
