"""The bar of every rollout: success so far, cost so far, failures by kind, time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from usersim_env.conversation.notes import known_cost
from usersim_env.rollouts.result import failure_name
from usersim_env.traces.trace import Trace


class Tally:
    """What is known of the episodes so far, as a line to read.

    Episodes that were on disk count as done, scored or failed; their cost is that of an earlier run and is left out.
    """

    def __init__(self, found: Collection[Trace] = ()) -> None:
        self._scored, self._sum = 0, 0.0
        self._failed: Counter[str] = Counter()
        self._cost: float | None = None
        self._unpriced = 0
        for trace in found:
            self._count(trace)

    def add(self, trace: Trace) -> None:
        """Counts an episode that has just finished."""
        self._count(trace)
        asked = [known_cost(seat.notes["cost"]) for seat in (trace.agent, trace.user) if "cost" in seat.notes]
        if None in asked:
            self._unpriced += 1
        if known := [cost for cost in asked if cost is not None]:
            self._cost = (self._cost or 0.0) + sum(known)

    def _count(self, trace: Trace) -> None:
        if trace.reward is None:
            self._failed[failure_name(trace.failure, trace.ended_by)] += 1
        else:
            self._scored += 1
            self._sum += trace.reward

    def __str__(self) -> str:
        parts = [f"success {self._sum / self._scored:.3f}" if self._scored else "none scored"]
        if self._cost is not None:
            parts.append(f"${self._cost:.4f}")
        if self._unpriced:
            parts.append(f"cost of {self._unpriced} unknown")
        if self._failed:
            kinds = (f"{name} {count}" for name, count in sorted(self._failed.items()))
            parts.append(f"failed: {', '.join(kinds)}")
        return ", ".join(parts)


class ProgressBar:
    """A bar on standard error, to be used with ``with``.

    Args:
        total: episodes wanted.
        name: of the agent.
        found: those that were on disk.
        shown: whether there is a bar at all.
    """

    def __init__(self, total: int, name: str, found: Collection[Trace], shown: bool) -> None:
        self._tally = Tally(found)
        self._bar: Progress | None = None
        if shown:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            line = TextColumn("{task.fields[so_far]}", markup=False)
            self._bar = Progress(*columns, line, console=Console(stderr=True))
            # Episodes from the disk took no time: as `completed` they do not count for the time left.
            so_far = str(self._tally) if found else ""
            self._task = self._bar.add_task(name, total=total, completed=len(found), so_far=so_far)

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, trace: Trace) -> None:
        """Counts an episode that has just finished."""
        if self._bar is not None:
            self._tally.add(trace)
            self._bar.update(self._task, advance=1, so_far=str(self._tally))
