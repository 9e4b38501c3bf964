"""Time as a deadline counts it: seconds in which this process ran, whatever the machine's clock is set to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Now: TypeAlias = Callable[[], float]
"""Seconds of a clock that never goes back, such as `time.monotonic`."""

LONGEST = 5.0
"""Seconds between two looks that count at most. A server looks every second: after a longer pause it was stopped, or
blocked by its agent, and nobody could have been heard."""


class Stopwatch:
    """Seconds from one look to the next.

    Args:
        now: the clock.
    """

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now, self._at = now, now()

    def lap(self) -> float:
        """Seconds since the last look, or since the beginning; never below 0 nor above `LONGEST`."""
        before, self._at = self._at, self._now()
        return min(max(self._at - before, 0.0), LONGEST)


class SittingClock:
    """How much time each side of a sitting has used.

    Args:
        used: seconds of the person, from before this server was started.
        served: seconds of the agent, likewise.
        before: of ``used``, what belongs to turns that are over.
        now: the clock.

    Attributes:
        used: seconds in which the person had the turn, in all.
        silent: of these, the ones since their turn began, or since the server was back: whoever waits for a server
            that does not answer need not be there at the moment when it does.
        served: seconds in which the agent had the turn, in all.
    """

    def __init__(self, used: float = 0.0, served: float = 0.0, before: float = 0.0, now: Now = time.monotonic) -> None:
        self.used, self.silent, self.served = used, 0.0, served
        self._before = min(before, used)
        self._watch = Stopwatch(now)

    @property
    def turn(self) -> float:
        """Seconds of the person's turn that is going on."""
        return self.used - self._before

    def advance(self, phase: str, saving: bool) -> None:
        """Counts the time since the last call for whoever had the turn.

        Args:
            phase: what the person's page has shown in this time.
            saving: whether what a person says could be saved; else nobody's time counts.
        """
        lap = self._watch.lap()
        if not saving:
            self.silent = 0.0
        elif phase in ("you", "survey"):
            self.used += lap
            self.silent += lap
        elif phase == "agent":
            self.served += lap

    def next_turn(self) -> None:
        """The person's turn is over."""
        self._before, self.silent = self.used, 0.0
