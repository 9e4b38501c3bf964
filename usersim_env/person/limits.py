"""How much and how often: sizes and rates that one person may use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

MAX_CHARS = 4_000
"""Characters (Unicode code points) of one message."""

MAX_FRAME = 64 * 1024
"""Bytes of one frame: a message of the longest kind, escaped, and some room."""

MAX_BODY = 16 * 1024
"""Bytes of one request's body."""

MAX_TABS = 4
"""Connections of one person at once."""

BAD_FRAMES = 20
"""Frames that are none of ours before a connection is closed."""

MAX_ACTION = 256 * 1024
"""Characters of one action of the agent, as JSON."""

PATIENCE = 30.0
"""Seconds that a client may take to send a request, to send its body, or to read what it asked for."""

_MINUTE = 60.0


class Bucket:
    """A token bucket.

    Args:
        rate: tokens that come back per second.
        burst: tokens at the start, and at most.
        clock: seconds; for tests.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def take(self) -> bool:
        """Takes a token; false when there is none."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def full(self) -> bool:
        """Whether every token is back, so that nothing is lost by forgetting the bucket."""
        return self._left + (self._clock() - self._at) * self._rate >= self._burst


class Buckets:
    """A token bucket per key; full ones are forgotten, so their number is bounded by the rate."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._found: dict[str, Bucket] = {}

    def take(self, key: str) -> bool:
        """Takes a token of a key."""
        if len(self._found) >= 1024:
            self._found = {name: bucket for name, bucket in self._found.items() if not bucket.full}
        return self._found.setdefault(key, Bucket(self._rate, self._burst)).take()


class OncePerMinute(logging.Filter):
    """Lets each message of a logger pass once a minute, so that no flood fills a log; the next one says how many.

    Messages are told apart before their arguments are put in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[object, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it passes."""
        key = (record.name, record.msg, record.exc_info[0] if record.exc_info else None)
        now = time.monotonic()
        at, dropped = self._found.get(key, (-_MINUTE, 0))
        if now - at < _MINUTE:
            self._found[key] = at, dropped + 1
            return False
        if len(self._found) >= 1024:
            self._found.clear()
        self._found[key] = now, 0
        if dropped:
            record.msg = f"{record.msg} ({dropped} more like this were not logged)"
        return True


def quiet(*loggers: str) -> None:
    """`OncePerMinute` for these loggers, beginning anew."""
    once = OncePerMinute()
    for logger in map(logging.getLogger, loggers):
        for old in [found for found in logger.filters if isinstance(found, OncePerMinute)]:
            logger.removeFilter(old)
        logger.addFilter(once)
